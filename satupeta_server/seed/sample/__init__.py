"""The sample catalogue: made-up mapsets of real themes and regions, as many as wanted."""

from satupeta_server.seed.sample.load import load_sample

__all__ = ["load_sample"]
