"""The moments of the sample catalogue, all in the past and the same on every machine."""

import datetime

ZONE = datetime.timezone(datetime.timedelta(hours=7))

OPENED = datetime.datetime(2019, 1, 7, 8, tzinfo=ZONE)
"""When its organizations, users and map sources were entered."""

LAST_CREATED = datetime.datetime(2026, 10, 1, tzinfo=ZONE)
"""Before this its last mapset was created; what followed from that ends in the same month."""
