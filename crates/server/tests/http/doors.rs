//! Who gets in, and where a server may listen.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::sync::Arc;

use jobwright_client::ExecutionsClient;
use jobwright_server::{Builder, Error, Server, Token};
use tempfile::TempDir;

use crate::fake::Fake;
use crate::support::{House, TOKEN, loopback};

const LIST: &str = "GET /api/v1/executions";

fn builder() -> Builder {
    Server::builder(Arc::new(Fake::new()))
}

async fn refusal(builder: Builder) -> String {
    builder.bind().await.err().expect("it must not listen").to_string()
}

#[tokio::test]
async fn over_tcp_nothing_but_health_is_answered_without_the_token() {
    let house = House::open().await;
    let host = format!("host: {}\r\n", house.tcp);
    for authorization in [
        "",
        "authorization: Bearer wrong-wrong-wrong-wrong\r\n",
        "authorization: Bearer 0123456789abcdef-hunter3\r\n",
        "authorization: Bearer 0123456789abcdef-hunter2x\r\n",
        "authorization: Bearer \r\n",
        "authorization: Basic 0123456789abcdef-hunter2\r\n",
        "authorization: 0123456789abcdef-hunter2\r\n",
        "authorization: Bearer 0123456789abcdef-hunter2\r\nauthorization: Bearer x\r\n",
    ] {
        for line in [
            LIST,
            "DELETE /api/v1/executions",
            "GET /api/v1/openapi.json",
            "GET /nothing",
            "PUT /healthz/x",
            "GET /readyz/x",
            "GET /metrics",
        ] {
            let answer = house.ask_as(line, &format!("{host}{authorization}"), b"").await;
            assert_eq!(
                (answer.status, answer.error().0.as_str()),
                (401, "unauthorized"),
                "{line} {authorization:?}"
            );
            assert_eq!(answer.header("www-authenticate"), Some("bearer"));
        }
    }
    let answer = house.ask_as("GET /healthz", &host, b"").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok\n".as_slice()));
    let answer = house.ask_as(LIST, &format!("{host}authorization: bearer {TOKEN}\r\n"), b"").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_client_with_the_wrong_token_is_told() {
    let house = House::open().await;
    let client = ExecutionsClient::tcp(&format!("http://{}", house.tcp), "wrong-wrong-wrong-wrong").unwrap();
    let error = client.list().await.unwrap_err();
    assert!(error.code() == Some("unauthorized") && !error.to_string().contains("wrong-"), "{error}");
}

#[tokio::test]
async fn a_name_that_leads_here_and_is_not_ours_is_refused() {
    let house = House::open_as(|builder| builder.name("ci.example.org")).await;
    let port = house.tcp.port();
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let own = format!("host: localhost:{port}\r\n");
    for (headers, status, code) in [
        (String::new(), 403, "forbidden_host"),
        ("host: evil.example.org\r\n".into(), 403, "forbidden_host"),
        (format!("host: evil.example.org:{port}\r\n"), 403, "forbidden_host"),
        ("host: localhost.evil.example.org\r\n".into(), 403, "forbidden_host"),
        ("host: localhost@evil.example.org\r\n".into(), 403, "forbidden_host"),
        ("host: evil@localhost\r\n".into(), 403, "forbidden_host"),
        ("host: 192.0.2.1\r\n".into(), 403, "forbidden_host"),
        ("host: \r\n".into(), 403, "forbidden_host"),
        (format!("{own}host: evil.example.org\r\n"), 403, "forbidden_host"),
        (own.clone(), 200, ""),
        ("host: 127.0.0.1\r\n".into(), 200, ""),
        (format!("host: [::1]:{port}\r\n"), 200, ""),
        (format!("host: [::ffff:127.0.0.1]:{port}\r\n"), 200, ""),
        (format!("host: [::ffff:7f00:1]:{port}\r\n"), 200, ""),
        ("host: [::ffff:192.0.2.1]\r\n".into(), 403, "forbidden_host"),
        ("host: CI.example.org\r\n".into(), 200, ""),
        (format!("{own}origin: http://localhost:{port}\r\n"), 200, ""),
        (format!("{own}origin: http://localhost:1\r\n"), 403, "forbidden_origin"),
        (format!("{own}origin: http://evil.example.org\r\n"), 403, "forbidden_origin"),
        (format!("{own}origin: null\r\n"), 403, "forbidden_origin"),
    ] {
        let answer = house.ask_as(LIST, &format!("{token}{headers}"), b"").await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert!(status == 200 || answer.error().0 == code, "{headers:?}: {:?}", answer.error());
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let absolute = house.ask_as("GET http://evil.example.org/healthz", &format!("{token}{own}"), b"").await;
    assert_eq!((absolute.status, absolute.error().0.as_str()), (403, "forbidden_host"));
}

#[tokio::test]
async fn a_server_listens_where_it_may() {
    let token = || Some(Token::new(TOKEN).unwrap());
    assert!(refusal(builder()).await.contains("there is no address"));
    assert!(refusal(builder().tcp(loopback())).await.contains("give an access token"));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let told = refusal(builder().token(token()).tcp(address.parse().unwrap())).await;
        assert!(told.contains("is not a loopback address"), "{told}");
    }
    let wide = || builder().beyond_loopback(true).tcp("0.0.0.0:0".parse().unwrap());
    assert!(refusal(wide()).await.contains("give an access token"));
    wide().token(token()).bind().await.map(drop).unwrap();
    for name in ["a b", "", "x:80", "http://x", "a@b", "x/y"] {
        let told = refusal(wide().token(token()).name(name)).await;
        assert!(told.contains("is not the name of a host"), "{told}");
    }
    let house = House::open().await;
    assert!(refusal(builder().token(token()).tcp(house.tcp)).await.contains(&house.tcp.to_string()));
}

#[tokio::test]
async fn the_unix_socket_is_its_owners_alone() {
    let house = House::open().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&house.socket), 0o600);
    assert_eq!(mode(house.socket.parent().unwrap()), 0o700);
    assert_eq!(house.unix_client.list().await.unwrap(), []);

    let folder = TempDir::new().unwrap();
    let open = folder.path().join("open");
    std::fs::DirBuilder::new().mode(0o755).create(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
    let told = refusal(builder().unix(open.join("socket"))).await;
    assert!(told.contains("is open to others (mode 0755)"), "{told}");
    assert!(!open.join("socket").exists() && !open.join("socket.lock").exists());
}

#[tokio::test]
async fn a_dead_servers_socket_is_replaced_and_a_living_ones_is_not() {
    let house = House::open().await;
    let told = builder().unix(&house.socket).bind().await.err().unwrap();
    assert!(matches!(told, Error::InUse(_)), "{told}");
    assert_eq!(house.unix_client.get_id().await.unwrap(), "fake-1");

    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let socket = folder.path().join("socket");
    // What a killed server leaves: a socket on which nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let server = builder().unix(&socket).bind().await.unwrap();
    drop(server);
    assert!(!socket.exists());
    // Somebody listens who knows nothing of our lock.
    let _other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(builder().unix(&socket).bind().await, Err(Error::InUse(_))));
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(builder().unix(&file).bind().await, Err(Error::NotASocket(_))));
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let told = refusal(builder().unix(folder.path().join("x".repeat(200)))).await;
    assert!(told.contains("failed to listen on") && told.contains("xxx"), "{told}");
}
