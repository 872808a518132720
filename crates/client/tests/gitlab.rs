//! A project's variables, fetched from a small server of this machine.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use std::time::Duration;

use jobwright_client::{Error, GitLab, Variable};
use tokio::net::TcpListener;

use support::{Server, answer};

const TOKEN: &str = "glpat-hunter2";

async fn ask(server: &Server) -> Result<Vec<Variable>, Error> {
    GitLab::new().unwrap().limit(Duration::from_secs(30)).variables(&server.url, 7, TOKEN).await
}

fn page(from: u32, to: u32) -> String {
    let variables = (from..to).map(|n| format!(r#"{{"key":"V{n}","value":"v{n}","masked":{}}}"#, n % 2 == 0));
    format!("[{}]", variables.collect::<Vec<_>>().join(","))
}

/// What is told when a server answers so.
async fn refusal(given: String) -> String {
    let server = Server::new(move |_| Some(given.clone())).await;
    let text = ask(&server).await.unwrap_err().to_string();
    assert!(text.contains("http://127.0.0.1:") && !text.contains(TOKEN), "{text}");
    text
}

// covers: local-ci 91
#[tokio::test]
async fn all_pages_are_read_and_the_token_stands_in_its_header() {
    let server = Server::new(|head| {
        Some(match head.lines().next().unwrap() {
            "GET /api/v4/projects/7/variables?per_page=100&page=1 HTTP/1.1" => {
                answer("200 OK", "X-Next-Page: 2\r\n", &page(0, 100))
            }
            "GET /api/v4/projects/7/variables?per_page=100&page=2 HTTP/1.1" => {
                answer("200 OK", "X-Next-Page: \r\n", &page(100, 130))
            }
            other => panic!("{other}"),
        })
    })
    .await;
    let variables = ask(&server).await.unwrap();
    assert_eq!(variables.len(), 130);
    assert_eq!((variables[0].masked, variables[129].masked), (true, false));
    assert_eq!(variables[129].value.as_deref(), Some("v129"));
    assert!(!format!("{variables:?}").contains("v129"));
    let seen = server.seen.lock().unwrap();
    assert!(seen.iter().all(|head| head.to_lowercase().contains(&format!("private-token: {TOKEN}\r\n"))));
}

#[tokio::test]
async fn a_variable_that_gitlab_hides_has_no_value() {
    let body = r#"[{"key":"A","value":null,"masked":true,"hidden":true,"environment_scope":"prod"}]"#;
    let server = Server::new(move |_| Some(answer("200 OK", "", body))).await;
    let variables = ask(&server).await.unwrap();
    assert_eq!((variables[0].value.as_deref(), variables[0].environment_scope.as_str()), (None, "prod"));
}

#[tokio::test]
async fn an_answer_that_is_not_200_is_an_error_that_says_what_may_be_wrong() {
    for (status, what) in [
        ("401 Unauthorized", "status 401: it does not know the access token"),
        ("403 Forbidden", "read_api"),
        ("404 Not Found", "no such project"),
        ("500 Internal Server Error", "status 500"),
        ("418 Teapot", "status 418"),
    ] {
        let text = refusal(answer(status, "", TOKEN)).await;
        assert!(text.contains(what), "{text}");
    }
}

/// The header with the token would go along to whoever is named.
#[tokio::test]
async fn a_redirection_is_not_followed() {
    let elsewhere = Server::new(|_| Some(answer("200 OK", "", "[]"))).await;
    let location = format!("Location: {}/api\r\n", elsewhere.url);
    let text = refusal(answer("302 Found", &location, "")).await;
    assert!(text.contains("another address"), "{text}");
    assert!(elsewhere.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_list_of_variables_is_an_error_without_its_text() {
    for (body, what) in [
        ("<html>glpat-hunter2</html>", "it is no JSON (line 1, column 1)"),
        (r#"{"message":"glpat-hunter2"}"#, "its JSON has another form"),
        (r#"[{"key":"A","value":"x""#, "it is no JSON"),
    ] {
        let text = refusal(answer("200 OK", "", body)).await;
        assert!(text.contains("a list of variables") && text.contains(what), "{text}");
    }
}

#[tokio::test]
async fn a_next_page_that_does_not_go_on_is_refused() {
    for header in ["X-Next-Page: 1\r\n", "X-Next-Page: soon\r\n", "X-Next-Page: 100000\r\n"] {
        let text = refusal(answer("200 OK", header, "[]")).await;
        assert!(text.contains("a next one that cannot be"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::new(|_| None).await;
    let limit = Duration::from_millis(200);
    let asked = GitLab::new().unwrap().limit(limit).variables(&server.url, 7, TOKEN).await;
    let text = asked.unwrap_err().to_string();
    assert!(text.contains("has not answered completely within 0.2 s"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_and_a_token_that_cannot_be_sent_are_errors() {
    let gitlab = GitLab::new().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://me:secret@127.0.0.1:{port}");
    let text = gitlab.variables(&url, 7, TOKEN).await.unwrap_err().to_string();
    assert!(text.contains("cannot be reached") && !text.contains("secret"), "{text}");
    let server = Server::new(|_| None).await;
    let text = gitlab.variables(&server.url, 7, "a\nb").await.unwrap_err().to_string();
    assert!(text.contains("line break"), "{text}");
    let text = gitlab.variables("http://[x", 7, TOKEN).await.unwrap_err().to_string();
    assert!(text.contains("not the address of a server"), "{text}");
}
