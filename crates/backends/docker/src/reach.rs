//! Through which container a task's workspace is reached: a step's own where there is one, else a carrier, which is created,
//! never started, and removed at once. Not for what is done through it (`files`).

use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptions};
use futures_util::StreamExt;
use jobwright_backend::{Error, ImageProblem, Result, Silent, labels};
use jobwright_model::{Step, StepUuid, TaskUuid};

use crate::belongings::{CARRIER, WORKSPACE, task_labels};
use crate::engine::Engine;
use crate::plan::{EMPTY_IMAGE, Plan, Workspace};
use crate::settings::PullPolicy;
use crate::tasks::{Container, Phase};
use crate::{Inner, failure};

/// A container through which the workspace is reached.
pub(crate) struct Reach {
    pub(crate) container: Container,
    /// Where the workspace is in it.
    pub(crate) root: String,
    /// The image from which it was made for this only.
    carrier: Option<String>,
}

impl Reach {
    /// A step's own container, from its root on.
    pub(crate) fn into(container: Container) -> Self {
        Self { container, root: "/".to_owned(), carrier: None }
    }
}

/// How often an image is provided anew that somebody else removed again before it was used: who is done with the empty one does that.
const TRIES: u32 = 10;

impl Inner {
    /// Finds or makes a container that has the workspace.
    pub(crate) async fn reach(self: &Arc<Self>, engine: &Engine, task: &TaskUuid) -> Result<Reach> {
        let memory = self.tasks.get(task);
        let plan = self.plan_of(task).await?;
        let remembered = memory.containers().into_iter().find_map(|container| {
            let root = container.workspace.clone()?;
            Some(Reach { container, root, carrier: None })
        });
        if let Some(reach) = remembered {
            return Ok(reach);
        }
        let containers = self.containers_of(engine, task).await?;
        let known = plan.is_some() || !containers.is_empty();
        let labelled = containers.into_iter().find_map(|container| {
            let root = container.labels?.remove(WORKSPACE)?;
            Some(Reach { container: Container::new(container.id, Phase::Started, None), root, carrier: None })
        });
        if let Some(reach) = labelled {
            return Ok(reach);
        }
        match plan.unwrap_or_default() {
            Plan { volume: Some(volume), workspace: Some(workspace), .. } => {
                self.carrier(engine, task, &volume.name, workspace).await
            }
            _ if known => {
                let why = "the workflow has no volume, and none of its steps is prepared";
                Err(Error::Workspace(why.to_owned()))
            }
            _ => Err(Error::UnknownTask(task.clone())),
        }
    }

    async fn carrier(
        self: &Arc<Self>,
        engine: &Engine,
        task: &TaskUuid,
        volume: &str,
        workspace: Workspace,
    ) -> Result<Reach> {
        let mut carried = task_labels(&self.owner, task);
        carried.insert(CARRIER.to_owned(), "true".to_owned());
        carried.insert(labels::NAME.to_owned(), "files".to_owned());
        let body = ContainerCreateBody {
            image: Some(workspace.image.clone()),
            entrypoint: Some(vec!["/bin/sh".to_owned()]),
            labels: Some(carried),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{volume}:{}", workspace.mount)]),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let mut created = self.create_carrier(engine, task, body.clone()).await;
        for _ in 0..TRIES {
            if !created.as_ref().is_err_and(failure::is_image_absent) {
                break;
            }
            self.provide(engine, &workspace).await?;
            created = self.create_carrier(engine, task, body.clone()).await;
        }
        let id = created.map_err(|error| engine.error("create a container for files", &error))?;
        Ok(Reach {
            container: Container::new(id, Phase::Prepared, None),
            root: workspace.mount,
            carrier: Some(workspace.image),
        })
    }

    async fn create_carrier(
        &self,
        engine: &Engine,
        task: &TaskUuid,
        body: ContainerCreateBody,
    ) -> Result<String, EngineError> {
        let creating = Arc::clone(&self.tasks.get(task).creating).read_owned().await;
        let client = engine.quick.clone();
        // As in `prepare`: goes on when the caller gives up.
        let work = tokio::spawn(async move {
            let created = client.create_container(None, body).await;
            drop(creating);
            created.map(|created| created.id)
        });
        work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Pulls the carrier's image, or makes it where it is the empty one.
    async fn provide(&self, engine: &Engine, workspace: &Workspace) -> Result<()> {
        if workspace.image == EMPTY_IMAGE {
            return import_empty(engine).await;
        }
        if self.settings()?.pull == PullPolicy::Never {
            return Err(Error::Image { image: workspace.image.clone(), problem: ImageProblem::Absent });
        }
        let mut step = Step::new("files", StepUuid::random());
        step.image.clone_from(&workspace.image);
        step.auth_config = workspace.auth.clone();
        self.pulls.pull(engine, &step, None, &Silent).await
    }

    /// Gives back what [`Inner::reach`] took.
    pub(crate) async fn release(&self, engine: &Engine, reach: &Reach) -> Result<()> {
        match &reach.carrier {
            None => Ok(()),
            Some(image) => {
                self.remove(engine, &reach.container, false, Duration::ZERO).await?;
                if image == EMPTY_IMAGE {
                    // Refused while another carrier has it, which then does the same.
                    let _ = engine.quick.remove_image(EMPTY_IMAGE, None::<RemoveImageOptions>, None).await;
                }
                Ok(())
            }
        }
    }
}

/// An image without a file in it.
async fn import_empty(engine: &Engine) -> Result<()> {
    let (repository, tag) = EMPTY_IMAGE.split_once(':').unwrap_or((EMPTY_IMAGE, "latest"));
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
    let end_of_archive = bollard::body_full(vec![0; 1024].into());
    let mut import = engine.quick.create_image(Some(options), Some(end_of_archive), None).boxed();
    while let Some(item) = import.next().await {
        item.map_err(|error| engine.error("import an empty image", &error))?;
    }
    Ok(())
}
