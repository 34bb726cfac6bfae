"""The only door to the network: requests in, responses out, over libcurl's multi interface.

Hundreds of requests are in flight from one thread. Every address is checked when its socket is opened, so
neither DNS nor a redirect can lead anywhere else; total time and size are bounded whatever a receiver does.
"""

from .adapter import CurlAdapter
from .bounds import Bounds
from .incoming import BoundedResponse

__all__ = ["BoundedResponse", "Bounds", "CurlAdapter"]
