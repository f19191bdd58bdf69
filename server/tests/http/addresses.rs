//! Whose request it is behind proxies, how many connections one address has, and how long a head may take.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use cku_server::{Config, Limits, Rates};

use crate::{
    client::{Connection, get},
    place::{Place, quiet, repository},
};

fn place(config: Config) -> Place {
    Place::over(&repository().join("testdata/authzen/bundle"), config)
}

fn asks(connection: &mut Connection, headers: &str) -> u16 {
    connection.send(format!("GET /v1/session HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    connection.receive().unwrap().status
}

/// The statuses of five requests.
fn five(place: &Place, headers: &str) -> Vec<u16> {
    let mut connection = Connection::open(place.at());
    (0..5).map(|_| asks(&mut connection, headers)).collect()
}

#[test]
fn a_client_is_counted_by_what_a_trusted_proxy_saw_and_nothing_it_says_itself() {
    let rates = Rates { address: NonZeroU32::new(2), principal: None };
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let trusting = place(Config { rates, trusted_proxies, ..quiet() });
    let of = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    assert_eq!(five(&trusting, &of("198.51.100.1"))[..2], [200; 2]);
    assert!(five(&trusting, &of("198.51.100.1")).contains(&429));
    assert_eq!(five(&trusting, &of("198.51.100.2"))[..2], [200; 2], "another client");
    // Others that it names stand left of what the proxy saw.
    let named = (3..8).flat_map(|n| five(&trusting, &of(&format!("203.0.113.{n}, 198.51.100.1"))));
    assert!(named.filter(|status| *status == 429).count() > 10);
    let forwarded = "Forwarded: for=\"[2001:db8::1]:47011\"\r\n";
    assert_eq!(five(&trusting, forwarded)[..2], [200; 2]);
    let beside = "Forwarded: for=\"[2001:db8::2]\"\r\n";
    assert!(five(&trusting, beside).contains(&429), "one network of version 6 is one client");
    // Nobody is believed where no proxy is trusted: all of it is one address.
    let alone = place(Config { rates, ..quiet() });
    let statuses: Vec<u16> = (0..5).flat_map(|n| five(&alone, &of(&format!("198.51.100.{n}")))).collect();
    assert!(statuses.iter().filter(|status| **status == 200).count() < 10, "{statuses:?}");
}

#[test]
fn an_address_has_so_many_connections_and_a_trusted_proxy_as_many_as_it_wants() {
    let limits = Limits { connections_by_address: NonZeroU32::new(3), ..Limits::default() };
    let alone = place(Config { limits, ..quiet() });
    let mut open: Vec<Connection> = (0..3).map(|_| Connection::open(alone.at())).collect();
    for connection in &mut open {
        assert_eq!(asks(connection, ""), 200);
    }
    let mut more = Connection::open(alone.at());
    more.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(more.receive().is_none(), "closed without an answer");
    // One that ends makes room.
    drop(open.pop());
    let begun = Instant::now();
    loop {
        let mut next = Connection::open(alone.at());
        next.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        if next.receive().is_some() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let trusting = place(Config { limits, trusted_proxies, ..quiet() });
    let mut open: Vec<Connection> = (0..10).map(|_| Connection::open(trusting.at())).collect();
    for connection in &mut open {
        assert_eq!(asks(connection, ""), 200);
    }
}

#[test]
fn a_later_head_has_to_come_as_soon_as_the_first_once_it_began() {
    let limits = Limits { patience: Duration::from_millis(400), ..Limits::default() };
    let place = place(Config { limits, ..quiet() });
    let mut connection = Connection::open(place.at());
    for _ in 0..2 {
        assert_eq!(asks(&mut connection, ""), 200);
        // Between requests it may take its time: three times as long as a head.
        std::thread::sleep(Duration::from_millis(1_200));
    }
    let begun = Instant::now();
    let head = b"GET /v1/session HTTP/1.1\r\nX-Slow: ";
    connection.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    connection.send(head);
    // A byte now and then, for as long as somebody listens.
    let mut one = [0];
    while begun.elapsed() < Duration::from_secs(20) {
        connection.send(b"x");
        match std::io::Read::read(&mut connection.0, &mut one) {
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    let took = begun.elapsed();
    assert!(took >= limits.patience && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(get(place.at(), "/healthz", "").status, 200);
}
