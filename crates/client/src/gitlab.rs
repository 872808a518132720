//! The CI variables of a GitLab project (local-ci.md 1.9): `GET /api/v4/projects/ID/variables`, page by page.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::time::timeout;

use crate::Error;
use crate::http::{Asked, client, get, server};
use crate::json;

/// How many variables are asked for at a time; GitLab gives no more.
const PER_PAGE: u32 = 100;
/// More pages than any project may have variables for.
const MOST_PAGES: u32 = 200;
/// The largest page in bytes: 100 variables of GitLab's longest, with room for what stands around them.
const LARGEST_PAGE: usize = 16 << 20;
/// How long all pages may take together.
const LIMIT: Duration = Duration::from_secs(60);

const TOKEN: &str = "private-token";
const NEXT_PAGE: &str = "x-next-page";
const WANTED: &str = "a list of variables";

/// A variable of a project.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value; none when GitLab tells it to nobody (a hidden variable).
    pub value: Option<String>,
    /// Whether GitLab masks it.
    #[serde(default)]
    pub masked: bool,
    /// Which environments it is for; `*` for all.
    #[serde(default = "everywhere")]
    pub environment_scope: String,
}

fn everywhere() -> String {
    "*".to_owned()
}

/// Without the value.
impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable")
            .field("key", &self.key)
            .field("masked", &self.masked)
            .finish_non_exhaustive()
    }
}

/// Asks GitLab servers.
#[derive(Debug, Clone)]
pub struct GitLab {
    client: Client,
    limit: Duration,
}

impl GitLab {
    /// A client that waits a minute for all of an answer.
    ///
    /// # Errors
    /// [`Error::Client`] when this system gives no ground for one, such as certificates.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { client: client()?, limit: LIMIT })
    }

    /// Waiting so long for all pages together.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// All variables of the project `id` on the server at `url` (`https://host`, with a path where it lies below one), in the server's
    /// order.
    ///
    /// # Errors
    /// [`Error`]; none of it holds `token`, or a variable's value.
    pub async fn variables(&self, url: &str, id: u32, token: &str) -> Result<Vec<Variable>, Error> {
        let first = address(url, id)?;
        let limit = self.limit;
        let late = || Error::TimedOut { server: server(&first), limit };
        timeout(limit, self.pages(&first, token)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn pages(&self, first: &Url, token: &str) -> Result<Vec<Variable>, Error> {
        let mut all = Vec::new();
        let mut page = 1;
        loop {
            let mut url = first.clone();
            url.query_pairs_mut()
                .append_pair("per_page", &PER_PAGE.to_string())
                .append_pair("page", &page.to_string());
            let asked = Asked { url, token: (TOKEN, token), most: LARGEST_PAGE, wanted: WANTED, hint };
            let (headers, body) = get(&self.client, asked).await?;
            let wrong = |reason| Error::Answer { server: server(first), wanted: WANTED, reason };
            all.extend(json::parse::<Vec<Variable>>(&body).map_err(wrong)?);
            match next(&headers, page).map_err(wrong)? {
                Some(next) => page = next,
                None => return Ok(all),
            }
        }
    }
}

fn address(url: &str, id: u32) -> Result<Url, Error> {
    let whole = format!("{}/api/v4/projects/{id}/variables", url.trim_end_matches('/'));
    let url = Url::parse(&whole).map_err(|error| {
        let address = url.rsplit('@').next().unwrap_or_default().to_owned();
        Error::Address { address, reason: error.to_string() }
    })?;
    Ok(url)
}

/// What a person may have to put right at GitLab.
fn hint(status: u16) -> &'static str {
    match status {
        401 => "it does not know the access token, or the token has expired",
        403 => "the access token may not read this (it needs the scope `read_api` and the role Maintainer)",
        404 => "there is no such project, or the access token may not see it",
        _ => "",
    }
}

/// The number of the page after `page`, if there is one.
fn next(headers: &HeaderMap, page: u32) -> Result<Option<u32>, String> {
    let Some(given) = headers.get(NEXT_PAGE).filter(|given| !given.is_empty()) else { return Ok(None) };
    let next = given.to_str().ok().and_then(|text| text.trim().parse::<u32>().ok());
    match next {
        Some(next) if next > page && next <= MOST_PAGES => Ok(Some(next)),
        _ => Err(format!("after page {page} it names a next one that cannot be")),
    }
}
