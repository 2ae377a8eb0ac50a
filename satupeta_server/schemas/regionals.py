"""The body of an administrative region."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import day, identifier, name, region_code, switch, text

REGIONAL_FORM = Form(
    {
        "code": region_code(),
        "name": name(example="Kota Surabaya"),
        "parent_id": identifier(description="Id of the region that this one lies in."),
        "description": text(),
        "thumbnail": identifier(description="Id of an uploaded file."),
        "valid_from": day(description="First day on which the code is in force."),
        "valid_to": day(description="Last day on which the code is in force."),
        "is_active": switch(default=True),
    }
)
