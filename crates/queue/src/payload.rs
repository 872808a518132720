//! What a queued job is to do: a wire job without what belongs to an attempt. Push gives it, the store keeps it, an agent gets it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::checks::{InvalidPayload, check};
use crate::wire::{Fields, Malformed, stored};

/// What a job is to do.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// The repository that is cloned into the workspace; empty for none.
    pub repository_name: String,
    /// Where in the workspace it is cloned to; empty for the workspace itself.
    pub repository_directory: String,
    /// What of it is checked out.
    pub commit: String,
    /// Its tags are fetched too.
    pub fetch_tags: bool,
    /// Only that commit is fetched.
    pub shallow_clone: bool,
    /// Only what these patterns match is checked out; all when there are none.
    pub sparse_checkout: Vec<String>,
    /// What is written into the workspace before the first step, by path.
    pub files: BTreeMap<String, File>,
    /// The steps in containers, in their order.
    pub docker_steps: Vec<DockerStep>,
    /// The steps of the program `src`, in their order, after all the others.
    pub cli_steps: Vec<CliStep>,
    /// What must not be shown, and what is shown in its place.
    pub redacted_values: BTreeMap<String, String>,
    /// `user:password` for registries, by host.
    pub docker_auths: BTreeMap<String, Vec<u8>>,
}

/// A file of a job: its content, or where to fetch it. Empty when it has neither.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub content: Vec<u8>,
    /// From where it is fetched; empty when it is not.
    pub bucket: String,
    /// What it is called there.
    pub key: String,
    /// When it was changed; the file's time is left alone without.
    pub modified_at: Option<Timestamp>,
}

/// A command in a container.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DockerStep {
    /// Its name; empty for its number.
    pub key: String,
    /// The image.
    pub image: String,
    /// The lines of its script.
    pub commands: Vec<String>,
    /// Its directory in the workspace.
    pub dir: String,
    /// Its environment, as `NAME=value`.
    pub env: Vec<String>,
}

/// A command of the program `src`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CliStep {
    /// Its name; empty for its number.
    pub key: String,
    /// Its arguments; `command` in JSON.
    pub commands: Vec<String>,
    /// Its directory in the workspace.
    pub dir: String,
    /// Its environment, as `NAME=value`.
    pub env: Vec<String>,
}

impl Payload {
    /// Takes what somebody pushes: a wire job without `id`, `token` and `queue`. Its files are read as `version` says, in base64 when it is 2.
    ///
    /// # Errors
    /// [`InvalidPayload`] for a key that is none, a value of another kind, a path that leads out of the workspace, a repository's name that is
    /// none, a repository without a commit, a step that cannot be run, or no step at all.
    pub fn from_pushed(value: Value) -> Result<Self, InvalidPayload> {
        let mut fields = Fields::strict(value)?;
        let payload = Self::take(&mut fields)?;
        fields.done()?;
        check(&payload)?;
        Ok(payload)
    }

    /// Reads what [`to_stored`](Self::to_stored) wrote; as leniently as from the wire, for what another version or another program has kept.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn from_stored(value: Value) -> Result<Self, Malformed> {
        Self::take(&mut Fields::of(value)?)
    }

    /// What is kept: the second version of the wire job, so that a file may be of any bytes.
    #[must_use]
    pub fn to_stored(&self) -> Value {
        stored(self)
    }

    pub(crate) fn take(fields: &mut Fields) -> Result<Self, Malformed> {
        let is_base64 = fields.integer("version")? == Some(2);
        let strict = fields.is_strict();
        let repository_name = fields.text("repositoryName")?;
        Ok(Self {
            repository_name,
            repository_directory: fields.text("repositoryDirectory")?,
            commit: fields.text("commit")?,
            fetch_tags: fields.flag("fetchTags")?,
            shallow_clone: fields.flag("shallowClone")?,
            sparse_checkout: fields.texts("sparseCheckout")?,
            files: fields.map("files", |value, place| File::read(value, place, is_base64, strict))?,
            docker_steps: fields.objects("dockerSteps", DockerStep::take)?,
            cli_steps: fields.objects("cliSteps", CliStep::take)?,
            redacted_values: fields.map("redactedValues", |value, place| match value {
                Value::Null => Ok(String::new()),
                value => crate::wire::text(value, place),
            })?,
            docker_auths: take_auths(fields.object("dockerAuthConfig")?)?,
        })
    }
}

fn take_auths(mut config: Fields) -> Result<BTreeMap<String, Vec<u8>>, Malformed> {
    let strict = config.is_strict();
    let auths = config.map("auths", |value, place| {
        let mut auth = Fields::within(value, place, strict)?;
        let bytes = auth.bytes("auth", true)?;
        auth.done().map(|()| bytes)
    })?;
    config.done().map(|()| auths)
}

impl File {
    fn read(value: Value, place: String, is_base64: bool, strict: bool) -> Result<Self, Malformed> {
        if let Value::String(text) = value {
            return Ok(Self { content: text.into_bytes(), ..Self::default() });
        }
        let mut fields = Fields::within(value, place, strict)?;
        let file = Self {
            content: fields.bytes("content", is_base64)?,
            bucket: fields.text("bucket")?,
            key: fields.text("key")?,
            modified_at: fields.moment("modifiedAt")?,
        };
        fields.done().map(|()| file)
    }
}

impl DockerStep {
    fn take(fields: &mut Fields) -> Result<Self, Malformed> {
        Ok(Self {
            key: fields.text("key")?,
            image: fields.text("image")?,
            commands: fields.texts("commands")?,
            dir: fields.text("dir")?,
            env: fields.texts("env")?,
        })
    }
}

impl CliStep {
    fn take(fields: &mut Fields) -> Result<Self, Malformed> {
        Ok(Self {
            key: fields.text("key")?,
            commands: fields.texts("command")?,
            dir: fields.text("dir")?,
            env: fields.texts("env")?,
        })
    }
}

/// Without any value that may be secret: contents, commands, environments, what is redacted, passwords.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("repository_name", &self.repository_name)
            .field("commit", &self.commit)
            .field("files", &self.files.keys())
            .field("docker_steps", &self.docker_steps.len())
            .field("cli_steps", &self.cli_steps.len())
            .finish_non_exhaustive()
    }
}

/// Without its content.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("bytes", &self.content.len())
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// Without its commands and its environment.
impl fmt::Debug for DockerStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerStep")
            .field("key", &self.key)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

/// Without its arguments and its environment.
impl fmt::Debug for CliStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CliStep").field("key", &self.key).finish_non_exhaustive()
    }
}
