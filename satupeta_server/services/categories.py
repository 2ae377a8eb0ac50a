"""Categories."""

from satupeta_server.models.files import File
from satupeta_server.representations.categories import CATEGORIES_LISTING, CATEGORY
from satupeta_server.services.records import RecordService, Resource


class CategoryService(RecordService):
    """Themes, which only administrators change."""

    resource = Resource("categories", CATEGORY, CATEGORIES_LISTING, references={"thumbnail": File})
