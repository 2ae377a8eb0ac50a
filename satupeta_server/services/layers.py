"""Reading what a layer's address says of the layer."""

from urllib.parse import parse_qs, urlsplit

from satupeta_server.models.mapsets import BoundingBox, is_bounding_box

_LONGITUDE_AND_LATITUDE = {"EPSG:4326", "CRS:84"}


def bounding_box_of(layer_url: str | None) -> BoundingBox | None:
    """Give the bounding box that a WMS address names, in degrees.

    The portal writes ``bbox`` as west, south, east, north in longitude and latitude (contract,
    6.1); a box in another reference system, or one that is none, gives None.
    """
    # Most addresses name none; reading one takes its time. A name may be written with % signs.
    if not layer_url or not ("bbox=" in layer_url or "%" in layer_url):
        return None
    try:
        query = parse_qs(urlsplit(layer_url).query)
        system = (query.get("srs") or query.get("crs") or ["EPSG:4326"])[0].upper()
        box = tuple(float(number) for number in query.get("bbox", [""])[0].split(","))
    except ValueError:
        return None
    if system not in _LONGITUDE_AND_LATITUDE or not is_bounding_box(box):
        return None
    west, south, east, north = box
    return west, south, east, north
