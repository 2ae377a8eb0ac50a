"""All services, made once for a process."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from satupeta_server.representations.trash import TRASH
from satupeta_server.services.accounts import AccountService
from satupeta_server.services.api_tokens import ApiTokenService
from satupeta_server.services.audit import AuditService
from satupeta_server.services.categories import CategoryService
from satupeta_server.services.classifications import ClassificationService
from satupeta_server.services.counting_ahead import CountingAhead
from satupeta_server.services.credentials import CredentialService
from satupeta_server.services.deliveries import DeliveryService
from satupeta_server.services.files import FileService
from satupeta_server.services.health import HealthService
from satupeta_server.services.histories import HistoryService
from satupeta_server.services.logins import LoginService
from satupeta_server.services.map_projection_systems import MapProjectionSystemService
from satupeta_server.services.map_sources import MapSourceService
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.services.metrics import MetricsService
from satupeta_server.services.news import NewsService
from satupeta_server.services.organizations import OrganizationService
from satupeta_server.services.personal_data import PersonalDataService
from satupeta_server.services.regionals import RegionalService
from satupeta_server.services.repeats import RepeatService
from satupeta_server.services.revisions import RevisionService
from satupeta_server.services.roles import RoleService
from satupeta_server.services.search import SearchService
from satupeta_server.services.sessions import SessionService
from satupeta_server.services.statistics import StatisticsService
from satupeta_server.services.suggestions import SuggestionService
from satupeta_server.services.trash import TrashService
from satupeta_server.services.users import MeService, UserService
from satupeta_server.settings import Settings
from satupeta_server.storage import Storage


@dataclass(frozen=True)
class Services:
    """The services by the subjects that routes name."""

    settings: Settings
    sessions: SessionService
    logins: LoginService
    tokens: ApiTokenService
    accounts: AccountService
    health: HealthService
    me: MeService
    users: UserService
    roles: RoleService
    organizations: OrganizationService
    categories: CategoryService
    classifications: ClassificationService
    map_projection_systems: MapProjectionSystemService
    regionals: RegionalService
    credentials: CredentialService
    map_sources: MapSourceService
    mapsets: MapsetService
    histories: HistoryService
    audit: AuditService
    news: NewsService
    files: FileService
    repeats: RepeatService
    search: SearchService
    suggestions: SuggestionService
    revisions: RevisionService
    personal_data: PersonalDataService

    @cached_property
    def statistics(self) -> StatisticsService:
        """What counts the mapsets that somebody may see."""
        return StatisticsService(self.settings, self.mapsets)

    @cached_property
    def deliveries(self) -> DeliveryService:
        """What sends mails and webhooks."""
        return DeliveryService(self.settings)

    @cached_property
    def metrics(self) -> MetricsService:
        """What the database tells Prometheus."""
        return MetricsService()

    @cached_property
    def counting_ahead(self) -> CountingAhead:
        """What counts the mapsets before a visitor asks."""
        return CountingAhead(self.mapsets)

    @cached_property
    def trash(self) -> Mapping[str, TrashService]:
        """The deleted records of each subject that has any."""
        return {subject: TrashService(getattr(self, subject)) for subject in TRASH}


def make_services(settings: Settings, storage: Storage) -> Services:
    """Make all services."""
    sessions = SessionService(settings)
    searched = {
        "mapsets": MapsetService(settings),
        "organizations": OrganizationService(settings),
        "categories": CategoryService(settings),
        "news": NewsService(settings),
        "regionals": RegionalService(settings),
    }
    return Services(
        settings=settings,
        sessions=sessions,
        logins=LoginService(settings, sessions),
        tokens=ApiTokenService(),
        accounts=AccountService(UserService(settings)),
        health=HealthService(storage),
        me=MeService(settings),
        users=UserService(settings),
        roles=RoleService(settings),
        organizations=OrganizationService(settings),
        categories=CategoryService(settings),
        classifications=ClassificationService(settings),
        map_projection_systems=MapProjectionSystemService(settings),
        regionals=RegionalService(settings),
        credentials=CredentialService(settings),
        map_sources=MapSourceService(settings),
        mapsets=MapsetService(settings),
        histories=HistoryService(settings),
        audit=AuditService(settings),
        news=NewsService(settings),
        files=FileService(settings, storage),
        repeats=RepeatService(settings),
        search=SearchService(searched),
        suggestions=SuggestionService(searched),
        revisions=RevisionService(settings, MapsetService(settings)),
        personal_data=PersonalDataService(settings, storage),
    )
