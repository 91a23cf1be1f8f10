"""Names of hosts by the public suffix list that ``tldextract`` ships: read once, never fetched."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tldextract import TLDExtract


@cache
def _suffixes() -> "TLDExtract":
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None)


def public_suffixes() -> list[str]:
    """The list's suffixes, without those that companies registered for their customers."""
    return list(_suffixes().tlds)


def registered_domain(host: str) -> str:
    """``news.example.co.uk`` → ``example.co.uk``; a host without a public suffix stands for itself.

    Suffixes that companies registered count too: each customer's is a domain.
    """
    return _suffixes()(host, include_psl_private_domains=True).top_domain_under_public_suffix or host
