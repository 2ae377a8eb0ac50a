"""The body of a coordinate reference system."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import name, number, switch, text

MAP_PROJECTION_SYSTEM_FORM = Form(
    {
        "name": name(example="SRGI2013"),
        "authority_code": text(longest=50, example="EPSG:9470"),
        "area": text(longest=1000, description="Area of use."),
        "epoch": number(1900, 2100, description="Reference epoch, as a decimal year."),
        "description": text(),
        "is_active": switch(default=True),
    }
)
