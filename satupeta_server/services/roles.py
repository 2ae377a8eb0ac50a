"""Roles."""

from satupeta_server.representations.roles import ROLE, ROLES_LISTING
from satupeta_server.services.records import ReadService, Resource


class RoleService(ReadService):
    """The four roles; their names are fixed, so nobody changes them."""

    resource = Resource("roles", ROLE, ROLES_LISTING)
