"""Which network addresses a list of URLs may lead to; pure.

A list may come from anybody, and the machine that reads it may reach what nobody outside should: a router, a database,
the cloud's own credentials service. Judged is the address that is connected to, never a name.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_CREDENTIAL_SERVICES = frozenset(
    map(ip_address, ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200"))
)
"""Of AWS, Azure, Google, Alibaba: no picture is there, so no permission opens them."""
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))


def is_allowed(address: str, private: bool) -> bool:
    """Whether `address`, as a socket is given it, may be connected to. `private`: networks that are not public too."""
    ip = ip_address(address.partition("%")[0])
    inner = _inner(ip)
    if ip in _CREDENTIAL_SERVICES or inner in _CREDENTIAL_SERVICES:
        return False
    return private or (_is_public(ip) and (inner is None or _is_public(inner)))


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside an IPv6 one that is only a way to it."""
    if isinstance(ip, IPv4Address):
        return None
    if any(ip in network for network in _NAT64):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
