"""Organizations."""

from satupeta_server.models.files import File
from satupeta_server.representations.organizations import ORGANIZATION, ORGANIZATIONS_LISTING
from satupeta_server.services.records import RecordService, Resource


class OrganizationService(RecordService):
    """Agencies, which only administrators change."""

    resource = Resource(
        "organizations", ORGANIZATION, ORGANIZATIONS_LISTING, references={"thumbnail": File}
    )
