"""Peers of gRPC: which client one is, and what events say of it."""

import pytest

from rt_predictor.security.peers import peer_key, unnamed_client


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("ipv4:192.0.2.7:4711", "192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:4711", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::9]:4711", "2001:db8:1:2::/64"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:4711", "192.0.2.7"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4711", "fe80::/64"),
        ("unix:/run/rt.sock", "unix:/run/rt.sock"),
        ("unix:", "unix:"),
    ],
)
def test_a_client_is_its_address_or_its_network(peer: str, key: str) -> None:
    assert peer_key(peer) == key


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("ipv4:127.0.0.1:4711", "@local"),
        ("ipv4:127.9.9.9:4711", "@local"),
        ("ipv6:%5B::1%5D:4711", "@local"),
        ("ipv6:%5B::ffff:127.0.0.1%5D:4711", "@local"),
        ("ipv4:192.0.2.7:4711", "@ipv4"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:4711", "@ipv4"),
        ("ipv6:%5B2001:db8::1%5D:4711", "@ipv6"),
        ("unix:/run/rt.sock", "@unix"),
    ],
)
def test_a_peer_without_credentials_is_the_way_it_came(peer: str, client: str) -> None:
    assert unnamed_client(peer) == client
