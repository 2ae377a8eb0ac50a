"""The agencies of the sample catalogue and the people who work there."""

import uuid
from collections.abc import Mapping, Sequence

from satupeta_server.models.organizations import Organization
from satupeta_server.models.users import User
from satupeta_server.seed.sample.moments import OPENED
from satupeta_server.seed.tables import read_table
from satupeta_server.seed.writing import Row, insert_missing, stable_id


def insert_organizations(pictures: Sequence[uuid.UUID]) -> dict[str, uuid.UUID]:
    """Insert the organizations; give their ids by their keys in the data files."""
    table = read_table("sample/organizations.csv")
    rows = [_organization(row, number, pictures) for number, row in enumerate(table)]
    ids = insert_missing(Organization, rows, "name")
    return {row["key"]: ids[row["name"]] for row in table}


def insert_users(roles: Mapping[str, uuid.UUID], organizations: Mapping[str, uuid.UUID]) -> None:
    """Insert the users, who have no password and so cannot log in until one is set."""
    rows = [
        {
            "id": stable_id("User", row["username"], OPENED),
            "username": row["username"],
            "name": row["name"],
            "email": f"{row['username']}@{row['organization']}.example.org",
            "employee_id": f"1985{number:02}012010{number:08}",
            "position": row["position"],
            "role_id": roles[row["role"]],
            "organization_id": organizations[row["organization"]],
            "created_at": OPENED,
            "updated_at": OPENED,
        }
        for number, row in enumerate(read_table("sample/users.csv"), start=1)
    ]
    insert_missing(User, rows, "username")


def _organization(row: dict[str, str], number: int, pictures: Sequence[uuid.UUID]) -> Row:
    return {
        "id": stable_id("Organization", row["key"], OPENED),
        "name": row["name"],
        "description": f"{row['name']} menangani {row['duty']}.",
        "thumbnail": pictures[number % len(pictures)],
        "address": f"{row['street']} Nomor {10 + number * 7}, {row['city']}",
        # No number of Indonesia begins so: nobody is ever called by mistake.
        "phone_number": f"+62 31 0000 {100 + number}",
        "email": f"sekretariat@{row['key']}.example.org",
        "website": f"https://{row['key']}.example.org",
        "created_at": OPENED,
        "updated_at": OPENED,
    }
