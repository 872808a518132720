//! Who may ask: an executor by the word that all of them share, by a name and a password (before late 2021), or by the token of its job. Only
//! hashes are kept, and they are compared in constant time.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jobwright_model::{AttemptToken, JobRef, QueueName, Speaker};
use jobwright_store::{QueueStore, TokenHash};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::failure::Failure;

/// How many random bytes a job's token has.
const BYTES: usize = 20;
/// The header with the number of the job that is spoken of.
const JOB_ID: &str = "x-sourcegraph-job-id";
/// The header with the name of the executor that speaks.
const EXECUTOR_NAME: &str = "x-sourcegraph-executor-name";

/// Who may ask.
#[derive(Default)]
pub(crate) struct Access {
    tokens: Vec<TokenHash>,
    /// Of `name:password`.
    pairs: Vec<TokenHash>,
    /// Whoever reaches this may ask, as there are no credentials.
    open: bool,
}

/// Who asks.
#[derive(Debug)]
pub(crate) enum Caller {
    /// An executor, of whatever job it holds.
    Executor {
        /// It signed on with a name and a password, as executors did before late 2021.
        early: bool,
    },
    /// Whoever has the token of this attempt.
    Job {
        token: AttemptToken,
        /// Who holds the attempt.
        holder: String,
    },
}

/// What is asked for, where it is of a job.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// Something of the queue of this name; of none, when that is no queue's name.
    Queue(Option<&'a QueueName>),
    /// Something of a repository, which is compared later.
    Repository,
}

/// A job's new token, as its executor is told it, and its hash, which is all that is kept.
pub(crate) fn new_job_token() -> Result<(String, TokenHash), Failure> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::error(format!("there is no randomness for the job's token: {error}")))?;
    Ok((bytes.iter().map(|byte| format!("{byte:02x}")).collect(), hash(&bytes)))
}

fn hash(bytes: &[u8]) -> TokenHash {
    Sha256::digest(bytes).into()
}

/// The hash of a job's token as it comes over the wire.
fn hash_of_token(text: &str) -> Option<TokenHash> {
    let digits = text.as_bytes();
    if digits.len() != 2 * BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..BYTES).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    bytes.map(|bytes| hash(&bytes))
}

/// Whether one of these is the hash of it. How long that takes does not depend on which.
fn is_one_of(hashes: &[TokenHash], given: &[u8]) -> bool {
    let given = hash(given);
    hashes.iter().fold(Choice::from(0), |found, kept| found | kept.ct_eq(&given)).into()
}

/// What stands in the header.
enum Given<'a> {
    Nothing,
    Unreadable,
    Executor(&'a str),
    Bearer(&'a str),
    Pair(Vec<u8>),
}

fn given(headers: &HeaderMap) -> Given<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Given::Nothing,
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => return Given::Unreadable,
    };
    let mut parts = value.split(' ');
    let (Some(scheme), Some(word), None) = (parts.next(), parts.next(), parts.next()) else {
        return Given::Unreadable;
    };
    match scheme {
        _ if word.is_empty() => Given::Unreadable,
        "token-executor" => Given::Executor(word),
        scheme if scheme.eq_ignore_ascii_case("bearer") => Given::Bearer(word),
        scheme if scheme.eq_ignore_ascii_case("basic") => {
            STANDARD.decode(word).map_or(Given::Unreadable, Given::Pair)
        }
        _ => Given::Unreadable,
    }
}

impl Access {
    pub(crate) fn add_token(&mut self, token: &str) {
        self.tokens.push(hash(token.as_bytes()));
    }

    pub(crate) fn add_pair(&mut self, name: &str, password: &str) {
        self.pairs.push(hash(format!("{name}:{password}").as_bytes()));
    }

    pub(crate) fn open(&mut self, open: bool) {
        self.open = open;
    }

    /// Whether whoever reaches this may ask.
    pub(crate) fn is_open(&self) -> bool {
        self.open && !self.is_configured()
    }

    fn is_configured(&self) -> bool {
        !self.tokens.is_empty() || !self.pairs.is_empty()
    }

    /// Who asks for something of an executor.
    pub(crate) fn executor(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let given = given(headers);
        self.shared(&given)
            .unwrap_or_else(|| Err(self.sign_on("a job's token does not open this; it is for executors")))
    }

    /// Who asks for something of a job.
    pub(crate) async fn job(
        &self,
        store: &dyn QueueStore,
        headers: &HeaderMap,
        wanted: Wanted<'_>,
    ) -> Result<Caller, Failure> {
        match given(headers) {
            Given::Bearer(token) if self.is_configured() || self.open => {
                by_token(store, token, headers, wanted).await
            }
            // As the original has it, another status than where an executor asks for itself.
            Given::Executor(word) if self.is_configured() && !is_one_of(&self.tokens, word.as_bytes()) => {
                Err(Failure::forbidden("the executor token is wrong"))
            }
            given => self.shared(&given).unwrap_or_else(|| Err(not_configured())),
        }
    }

    /// Who asks by what executors share; none when the credentials are a job's.
    fn shared(&self, given: &Given<'_>) -> Option<Result<Caller, Failure>> {
        if !self.is_configured() {
            let early = matches!(given, Given::Pair(_));
            return Some(if self.open { Ok(Caller::Executor { early }) } else { Err(not_configured()) });
        }
        Some(match given {
            Given::Executor(word) if is_one_of(&self.tokens, word.as_bytes()) => {
                Ok(Caller::Executor { early: false })
            }
            Given::Executor(_) => Err(self.sign_on("the executor token is wrong")),
            Given::Pair(pair) if is_one_of(&self.pairs, pair) => Ok(Caller::Executor { early: true }),
            Given::Pair(_) if !self.pairs.is_empty() => {
                Err(Failure::forbidden("the name or the password is wrong"))
            }
            Given::Bearer(_) => return None,
            Given::Nothing => Err(self.sign_on("no credentials; send authorization: token-executor TOKEN")),
            Given::Unreadable | Given::Pair(_) => {
                Err(self.sign_on("the header authorization has to be two words: token-executor TOKEN"))
            }
        })
    }

    fn sign_on(&self, message: &str) -> Failure {
        Failure::unauthorized(message).challenging(!self.pairs.is_empty())
    }
}

/// As an original answers that nobody has set up.
fn not_configured() -> Failure {
    Failure::text(StatusCode::INTERNAL_SERVER_ERROR, "Executors are not configured on this instance")
}

async fn by_token(
    store: &dyn QueueStore,
    token: &str,
    headers: &HeaderMap,
    wanted: Wanted<'_>,
) -> Result<Caller, Failure> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(job) = header(JOB_ID).parse::<i64>() else {
        return Err(Failure::bad("the header X-Sourcegraph-Job-ID is needed with the number of the job"));
    };
    if header(EXECUTOR_NAME).is_empty() {
        return Err(Failure::bad(
            "the header X-Sourcegraph-Executor-Name is needed with the name of the executor",
        ));
    }
    let Some(hash) = hash_of_token(token) else { return Err(Failure::unauthorized("invalid token")) };
    let Some((token, holder)) = store.attempt_of_token(&hash).await? else {
        return Err(Failure::unauthorized("invalid token"));
    };
    if token.job.id != job {
        return Err(Failure::forbidden("the token is of another job"));
    }
    match wanted {
        Wanted::Queue(queue) if queue != Some(&token.job.queue) => {
            Err(Failure::forbidden("the token is of a job of another queue"))
        }
        _ => Ok(Caller::Job { token, holder }),
    }
}

impl Caller {
    /// Who speaks of job number `id` of that queue in a body that says so. None when whoever it is does not hold the job.
    ///
    /// The original checks the job's number in the header alone; here that in the body has to be the token's too.
    pub(crate) fn speaker(self, queue: QueueName, id: i64, name: String) -> Result<Option<Speaker>, Failure> {
        match self {
            Self::Executor { .. } => Ok(Some(Speaker::Holder { name, job: JobRef::new(queue, id) })),
            Self::Job { token, .. } if token.job.id != id => {
                Err(Failure::forbidden("the token is of another job than the body's jobId"))
            }
            Self::Job { holder, .. } if !name.is_empty() && name != holder => Ok(None),
            Self::Job { token, .. } => Ok(Some(Speaker::Attempt(token))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_token_is_forty_digits_and_its_hash_is_of_its_bytes() {
        let [(one, hashed), (other, _)] = [new_job_token().unwrap(), new_job_token().unwrap()];
        assert!(one != other && one.len() == 40 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(hash_of_token(&one), Some(hashed));
        assert_ne!(hash(one.as_bytes()), hashed);
        for text in [
            "",
            "0",
            &"g".repeat(40),
            &"0".repeat(41),
            &"ä".repeat(20),
            "+123456789012345678901234567890123456789",
        ] {
            assert_eq!(hash_of_token(text), None, "{text}");
        }
    }

    #[test]
    fn any_of_several_words_is_right_so_that_they_can_be_changed() {
        let mut access = Access::default();
        access.add_token("the-old-token-of-all");
        access.add_token("the-new-token-of-all");
        let asks = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            access.executor(&headers).is_ok()
        };
        assert!(asks("token-executor the-old-token-of-all") && asks("token-executor the-new-token-of-all"));
        for value in [
            "token-executor the-old-token-of-al",
            "token-executor",
            "token-executor  the-old-token-of-all",
            "Token-Executor the-old-token-of-all",
            "the-old-token-of-all",
            "token-executor the-old-token-of-all x",
        ] {
            assert!(!asks(value), "{value}");
        }
    }
}
