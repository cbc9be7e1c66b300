"""Where a person looks at a service: in words, and as the URL of a page of the vendor's console.

What is known of these URLs, and from where:

- The hosts of the three sites: the vendor's own console pages carry a table of them (China, International, Europe).
- ``/<path>/?region=<region>``: links of this form stand in the vendor's documents and samples for ``dayu`` (DataArts
  Studio), ``dew`` (CSMS is a part of DEW) and many other services, and in users' code for ``mrs``. For ``hss2`` and
  ``coc`` no document was found that shows it; they are of the same form.
- ``workspace``: to find the id of a workspace, the vendor's documents say to read it from this part of the URL.
- Not known: an address of the page of one cluster, vendor account or event. What stands behind ``#`` is written in no
  document and has changed over time, so there is none: the link leads to the service, in the right site and region.
- Not known: the site of an account. A region belongs to a site, but an account of the international site can have
  resources in a region of China. The link leads to the site of the region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from airflow_provider_cloudsync.api.endpoints import table

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.flows import Cloud

_CHINA, _INTERNATIONAL, _EUROPE = (
    "console.huaweicloud.com",
    "console-intl.huaweicloud.com",
    "console.eu.huaweicloud.com",
)
#: First part of a region's name -> host of the console. What is not here is run by a partner, or not known: the table
#: of endpoints has Orange's eu-west-0, G42's ae-ad-1, TM's my-kualalumpur-1 and those of Russia.
_SITES = {
    "cn": _CHINA,
    **dict.fromkeys(("af", "ap", "la", "me", "na", "sa", "tr"), _INTERNATIONAL),
    "eu-west-101": _EUROPE,
}


@dataclass(frozen=True, slots=True)
class Console:
    """The page of a service, or of a part of it. As text it is its words.

    :param words: the page in the words of a sentence that begins with "look at".
    :param service: as in the table of endpoints.
    :param path: first part of the URL's path.
    :param parameters: what of the target the URL takes, under the same name.
    """

    words: str
    service: str
    path: str
    parameters: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.words

    def url(self, cloud: Cloud, target: Mapping[str, Any]) -> str | None:
        """The address of the page; None where the region or its console is not known.

        :raises InvalidConnection: if it is not known where to reach the service.
        """
        region = _region(self.service, cloud)
        host = None if region is None else _SITES.get(region) or _SITES.get(region.partition("-")[0])
        if region is None or host is None:
            return None
        named = {name: str(target[name]) for name in self.parameters if target.get(name) is not None}
        query = urlencode({"region": region, **named}, quote_via=quote, safe="")
        return f"https://{host}/{self.path}/?{query}"


def _region(service: str, cloud: Cloud) -> str | None:
    """The region that a service is reached in: what is known of its host counts, and then what the connection says.

    A URL of one's own may be a gateway before the vendor's service, so a region of the vendor's is believed there, too.
    """
    regions = table().get(service, {})
    host = urlsplit(cloud.url(service)).hostname
    of_host = [region for region, hosts in regions.items() if host in hosts]
    if of_host and cloud.region not in of_host:
        return of_host[0]
    return cloud.region if cloud.region in regions else None
