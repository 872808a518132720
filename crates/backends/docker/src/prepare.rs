//! Making a step's container: image, container, further networks, files. Nothing runs yet. Not for what the container is
//! made of (`container`).

use std::sync::Arc;
use std::time::Duration;

use bollard::models::NetworkConnectRequest;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use jobwright_backend::{Error, ImageProblem, Progress, ProgressEvent, Result, labels, names};
use jobwright_model::{Step, TaskUuid};
use tokio::time::{Instant, sleep};

use crate::Inner;
use crate::belongings::carries;
use crate::container::{Blueprint, Surroundings};
use crate::engine::Engine;
use crate::failure;
use crate::image::ImageReference;
use crate::records::StateRecord;
use crate::settings::PullPolicy;
use crate::tasks::{Container, Phase, TaskMemory};

/// What came of an attempt to make a container.
pub(crate) enum Creation {
    /// It is there, and new.
    Made,
    /// It was there: made by this step's own task and owner, before.
    WasOurs { id: String, running_or_ended: bool },
}

/// What the engine said to one request for a container.
enum Answer {
    Made(String),
    ImageAbsent,
    NameTaken,
}

/// How long an engine is given that keeps a name for a container which it still makes, and how often it is asked.
const STILL_MADE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Inner {
    /// Makes the container of `step`, in the place of one that an owner which died had asked for and that came to be only after it was
    /// looked for: nobody knows how far that one is.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        step: &Step,
        task: &TaskUuid,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut creation = self.create(step, task, progress).await?;
        if let Creation::WasOurs { id, running_or_ended: false } = creation {
            let stale = Container::new(id, Phase::Prepared, None);
            self.remove(self.engine().await?, &stale, false, Duration::ZERO).await?;
            creation = self.create(step, task, progress).await?;
        }
        match creation {
            Creation::Made => Ok(()),
            Creation::WasOurs { .. } => Err(Error::AlreadyStarted(step.uuid.clone())),
        }
    }

    /// Makes the container of `step`, if it is not there.
    pub(crate) async fn create(
        self: &Arc<Self>,
        step: &Step,
        task: &TaskUuid,
        progress: &dyn Progress,
    ) -> Result<Creation> {
        let engine = self.engine().await?;
        let settings = self.settings()?;
        if step.image.is_empty() {
            return Err(Error::invalid_step(step, "it names no image"));
        }
        ImageReference::parse(&step.image)?;
        let name = names::container_name(step, task)?;
        let memory = self.tasks.get(task);
        let plan = self.plan_of(task).await?.unwrap_or_default();
        let around = Surroundings { owner: &self.owner, task, plan: &plan, settings, kind: engine.kind };
        let blueprint = Arc::new(Blueprint::of(step, around)?);
        let earlier = self.pull_first(engine, step, &blueprint, progress).await?;
        let mut answer = self.attempt(engine, &memory, step, &name, &blueprint).await?;
        if let Answer::ImageAbsent = answer {
            self.pull_missing(engine, step, &blueprint, earlier, progress).await?;
            answer = self.attempt(engine, &memory, step, &name, &blueprint).await?;
        }
        let until = Instant::now() + STILL_MADE;
        loop {
            match answer {
                Answer::Made(_) => return Ok(Creation::Made),
                Answer::NameTaken => match self.who_has(engine, step, task, &name).await? {
                    Some(creation) => return Ok(creation),
                    None if Instant::now() < until => sleep(LOOK_AGAIN).await,
                    None => return Err(Error::NameTaken(name)),
                },
                Answer::ImageAbsent => {
                    let why = "it was pulled, and the engine still has no image under this name".to_owned();
                    return Err(Error::Image {
                        image: step.image.clone(),
                        problem: ImageProblem::NotFound(why),
                    });
                }
            }
            answer = self.attempt(engine, &memory, step, &name, &blueprint).await?;
        }
    }

    /// Pulls before anything else where the step or the operator wants it so. A failure is tolerated, and handed on in case
    /// that the image is not here either, unless the step has credentials of its own: who may no longer pull an image must
    /// not run what lies here from when he could (woodpecker.md 2.1).
    async fn pull_first(
        &self,
        engine: &Engine,
        step: &Step,
        blueprint: &Blueprint,
        progress: &dyn Progress,
    ) -> Result<Option<Error>> {
        let policy = self.settings()?.pull;
        let wanted = policy == PullPolicy::Always || step.pull && policy != PullPolicy::Never;
        if !wanted {
            return Ok(None);
        }
        match self.pulls.pull(engine, step, blueprint.platform.as_deref(), progress).await {
            Ok(()) => Ok(None),
            Err(error @ Error::Image { .. }) if !step.auth_config.is_complete() => {
                progress.report(ProgressEvent::PullFailedUsingLocal {
                    image: step.image.clone(),
                    reason: error.to_string(),
                });
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Pulls an image that a create did not find.
    async fn pull_missing(
        &self,
        engine: &Engine,
        step: &Step,
        blueprint: &Blueprint,
        earlier: Option<Error>,
        progress: &dyn Progress,
    ) -> Result<()> {
        if let Some(error) = earlier {
            return Err(error);
        }
        if self.settings()?.pull == PullPolicy::Never {
            return Err(Error::Image { image: step.image.clone(), problem: ImageProblem::Absent });
        }
        self.pulls.pull(engine, step, blueprint.platform.as_deref(), progress).await
    }

    /// Asks for the container once. Goes on when the caller gives up: an engine finishes what it was asked for, and what
    /// nobody remembers would appear behind the back of a `destroy_workflow`.
    async fn attempt(
        &self,
        engine: &Engine,
        memory: &Arc<TaskMemory>,
        step: &Step,
        name: &str,
        blueprint: &Arc<Blueprint>,
    ) -> Result<Answer> {
        let creating = Arc::clone(&memory.creating).read_owned().await;
        let (engine, memory, blueprint) = (engine.clone(), Arc::clone(memory), Arc::clone(blueprint));
        let (step, name) = (step.clone(), name.to_owned());
        let work = tokio::spawn(async move {
            let answer = make(&engine, &step, &name, &blueprint).await;
            if let Ok(Answer::Made(id)) = &answer {
                memory.remember(
                    &step.uuid,
                    Container::new(id.clone(), Phase::Prepared, blueprint.workspace.clone()),
                );
            }
            drop(creating);
            answer
        });
        work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Whose container has the name: this very step's, or somebody else's; none when it is not there yet, or not any more.
    async fn who_has(
        &self,
        engine: &Engine,
        step: &Step,
        task: &TaskUuid,
        name: &str,
    ) -> Result<Option<Creation>> {
        let found = match engine.inspect(name).await {
            Ok(found) => found,
            Err(error) if failure::is_absent(&error) => return Ok(None),
            Err(error) => return Err(engine.error("look at the container that has the name", &error)),
        };
        let expected = [
            (labels::OWNER, self.owner.as_str()),
            (labels::TASK, task.as_str()),
            (labels::STEP, step.uuid.as_str()),
        ];
        if !carries(found.labels(), &expected) {
            return Err(Error::NameTaken(name.to_owned()));
        }
        let running_or_ended = found.state.as_ref().is_some_and(StateRecord::began);
        Ok(Some(Creation::WasOurs { id: found.id, running_or_ended }))
    }
}

/// Container, then networks, then files. What cannot be completed is taken away again.
async fn make(engine: &Engine, step: &Step, name: &str, blueprint: &Blueprint) -> Result<Answer> {
    let options = CreateContainerOptionsBuilder::new().name(name);
    let options = blueprint.platform.iter().fold(options, |options, platform| options.platform(platform));
    let created = engine.quick.create_container(Some(options.build()), blueprint.body.clone()).await;
    let id = match created {
        Ok(created) => created.id,
        Err(error) if failure::is_image_absent(&error) => return Ok(Answer::ImageAbsent),
        Err(error) if failure::is_name_taken(&error) => return Ok(Answer::NameTaken),
        Err(error) if failure::status(&error) == Some(400) => {
            return Err(Error::invalid_step(step, failure::words(&error)));
        }
        Err(error) => return Err(engine.error("create the container", &error)),
    };
    if let Err(error) = complete(engine, step, &id, blueprint).await {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        // The first error is the one to tell; what stays is found by its labels.
        let _ = engine.quick.remove_container(&id, Some(options)).await;
        return Err(error);
    }
    Ok(Answer::Made(id))
}

async fn complete(engine: &Engine, step: &Step, id: &str, blueprint: &Blueprint) -> Result<()> {
    for (network, endpoint) in &blueprint.further_networks {
        let request =
            NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint.clone()) };
        engine.quick.connect_network(network, request).await.map_err(|error| {
            if failure::is_absent(&error) {
                Error::invalid_step(step, failure::words(&error))
            } else {
                engine.error(&format!("connect the container to network {network}"), &error)
            }
        })?;
    }
    if let Some(files) = &blueprint.files {
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let body = bollard::body_full(files.clone().into());
        let sent = engine.quick.upload_to_container(id, Some(options), body).await;
        sent.map_err(|error| engine.error("take the step's files", &error))?;
    }
    Ok(())
}
