"""Which addresses a crawler may connect to: checked when it connects, and the connection goes to the very address checked.

A name is looked up once a connection; every address of the answer must be public (a second answer that points inside is how
filters are passed by), and the socket is opened to one of those, never to the name. Hosts that the recipe
allows by name may be private.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping

Address = tuple[str, int]
Resolver = Callable[[str, int], Awaitable[list[str]]]

# Not public in effect, though not marked so everywhere: IETF assignments, the retired 6to4 relay, documentation.
_NEVER = tuple(
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "2001:db8::/32", "fec0::/10")
)
_ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214: an IPv4 address in the last 32 bits, after one of these
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")  # RFC 3056: an IPv4 address in bits 16 to 48


class RefusedAddress(OSError):
    """A host has an address that is not public and is not allowed by name."""


def is_public(text: str) -> bool:
    """Whether an IP address is global unicast; IPv4 addresses wrapped in IPv6 are judged as what they reach."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        elif address in _SIX_TO_FOUR:
            inner = ipaddress.IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
        elif (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def literal(host: str) -> str | None:
    """The IP address that a host is written as, in any spelling that a resolver would take (``127.1``, ``0x7f000001``)."""
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if host and host[-1].isalnum() and host[0].isdigit() else None
    except OSError:
        return None


async def system_resolver(host: str, port: int) -> list[str]:
    """All addresses that the system knows of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Addresses:
    """From host and port to the address to connect to.

    ``pinned``: host → address to use instead of a look-up (the local site's names); ``allowed``: hosts that may be private.
    """

    def __init__(
        self, allowed: Collection[str] = (), pinned: Mapping[str, Address] | None = None, resolver: Resolver = system_resolver
    ) -> None:
        self.allowed = frozenset(host.lower() for host in allowed)
        self.pinned = dict(pinned or {})
        self.resolver = resolver

    def refuses(self, host: str) -> bool:
        """Whether a host is written as an address that is not public: known without a look-up."""
        address = literal(host)
        return address is not None and host not in self.allowed and not is_public(address)

    async def of(self, host: str, port: int) -> Address:
        """One checked address. Raises ``RefusedAddress``, or ``OSError`` where the host is unknown."""
        if host in self.pinned:
            return self.pinned[host]
        address = literal(host)
        found = [address] if address else await self.resolver(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        if host not in self.allowed:
            inside = [address for address in found if not is_public(address)]
            if inside:
                raise RefusedAddress(f"{host} has the address {inside[0]}, which is not public")
        return found[0], port
