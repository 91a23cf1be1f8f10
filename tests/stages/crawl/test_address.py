"""Addresses are checked when connecting, and pinned (case B06)."""

import asyncio

import pytest

from llm_assets.stages.crawl.address import Addresses, RefusedAddress, is_public, literal

INSIDE = [
    "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
    "64:ff9b::a00:1", "2002:7f00:1::", "not an address", "64:ff9b:1::a00:1", "::10.0.0.1", "::ffff:0:10.0.0.1", "fec0::1",
    "2001:0:53aa:64c:0:f5ff:ffff:fffe", "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:7f00:1", "192.0.0.8", "192.88.99.1",
    "198.18.0.1", "203.0.113.7", "2001:db8::1", "3fff::1", "5f00::1", "fdff::1", "100.127.255.255",
]  # fmt: skip
OUTSIDE = [
    "93.184.216.34",
    "8.8.8.8",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::",
    "2606:4700::5efe:808:808",
    "192.0.1.1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_private_addresses_in_all_disguises(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses(address):
    assert is_public(address)


def test_literals_in_the_spellings_that_resolvers_take():
    assert [literal(host) for host in ("127.1", "0x7f000001", "2130706433", "[::1]", "010.0.0.1")] == [
        "127.0.0.1", "127.0.0.1", "127.0.0.1", "::1", "8.0.0.1",
    ]  # fmt: skip
    assert literal("site.example") is None
    assert literal("1and1.example") is None
    assert Addresses().refuses("0x7f000001")
    assert not Addresses(allowed=["127.0.0.1"]).refuses("127.0.0.1")


def resolver(*addresses: str):
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


def test_one_private_answer_refuses_the_host():
    """B06: a name whose second DNS answer is loopback."""
    known = Addresses(resolver=resolver("93.184.216.34", "127.0.0.1"))
    with pytest.raises(RefusedAddress, match=r"127\.0\.0\.1"):
        asyncio.run(known.of("two-faced.example", 80))


def test_the_checked_address_is_the_one_connected_to():
    assert asyncio.run(Addresses(resolver=resolver("8.8.8.8", "9.9.9.9")).of("a.example", 81)) == ("8.8.8.8", 81)
    assert asyncio.run(Addresses(pinned={"a.example": ("127.0.0.1", 5)}).of("a.example", 80)) == ("127.0.0.1", 5)
    assert asyncio.run(Addresses(allowed=["A.example"], resolver=resolver("10.0.0.1")).of("a.example", 80)) == ("10.0.0.1", 80)
    with pytest.raises(OSError, match="no address"):
        asyncio.run(Addresses(resolver=resolver()).of("a.example", 80))


def test_the_system_resolver_knows_localhost():
    with pytest.raises(RefusedAddress):
        asyncio.run(Addresses().of("localhost", 80))
