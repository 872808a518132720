//! A backend that does one thing otherwise than the dummy: what no step's environment can script.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use globset::Glob;
use jobwright_backend::dummy::Dummy;
use jobwright_backend::{
    Availability, Backend, BackendInfo, Capabilities, Error, LogPosition, LogStream, Progress, ProgressEvent,
    Result, TarStream,
};
use jobwright_model::{Step, StepExit, TaskUuid, Workflow};

/// What is otherwise.
pub(crate) enum Twist {
    /// `setup_workflow` never answers.
    SetUpHangs,
    /// `prepare_step` never answers.
    PrepareHangs,
    /// `destroy_step` never answers.
    DestroyStepHangs,
    /// `destroy_workflow` never answers, and removes nothing.
    DestroyWorkflowHangs,
    /// The log of a step never ends, not even with the step.
    LogOutlivesItsStep,
    /// The exit has a message.
    ExitSays(&'static str),
    /// The image could not be pulled, for this reason.
    PullSays(&'static str),
    /// `get` answers an error.
    GetFails,
    /// `get` never answers.
    GetHangs,
    /// The archive that `get` gives breaks off.
    GetBreaksOff,
    /// `put` answers an error.
    PutFails,
    /// The defect of a backend: waiting panics.
    WaitPanics,
}

/// The dummy with a twist.
pub(crate) struct Twisted {
    inner: Dummy,
    twist: Twist,
    /// How often `put` was asked.
    pub(crate) puts: AtomicUsize,
}

impl Twisted {
    pub(crate) fn new(inner: Dummy, twist: Twist) -> Self {
        Self { inner, twist, puts: AtomicUsize::new(0) }
    }
}

async fn never<T>() -> T {
    std::future::pending().await
}

#[async_trait]
impl Backend for Twisted {
    fn name(&self) -> &'static str {
        "twisted"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn is_available(&self) -> Availability {
        self.inner.is_available().await
    }

    async fn load(&self) -> Result<BackendInfo> {
        self.inner.load().await
    }

    async fn setup_workflow(&self, workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        self.inner.setup_workflow(workflow, task).await?;
        match self.twist {
            Twist::SetUpHangs => never().await,
            _ => Ok(()),
        }
    }

    async fn prepare_step(&self, step: &Step, task: &TaskUuid, progress: &dyn Progress) -> Result<()> {
        match self.twist {
            Twist::PrepareHangs => never().await,
            Twist::PullSays(reason) => progress.report(ProgressEvent::PullFailedUsingLocal {
                image: step.image.clone(),
                reason: reason.to_owned(),
            }),
            _ => {}
        }
        self.inner.prepare_step(step, task, progress).await
    }

    async fn start_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        self.inner.start_step(step, task).await
    }

    async fn wait_step(&self, step: &Step, task: &TaskUuid) -> Result<StepExit> {
        assert!(!matches!(self.twist, Twist::WaitPanics), "a defect");
        let mut exit = self.inner.wait_step(step, task).await?;
        if let Twist::ExitSays(message) = self.twist {
            exit.message = Some(message.to_owned());
        }
        Ok(exit)
    }

    async fn tail_step(&self, step: &Step, task: &TaskUuid, from: LogPosition) -> Result<LogStream> {
        let log = self.inner.tail_step(step, task, from).await?;
        match self.twist {
            Twist::LogOutlivesItsStep => {
                Ok(Box::pin(futures_util::StreamExt::chain(log, futures_util::stream::pending())))
            }
            _ => Ok(log),
        }
    }

    async fn destroy_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        match self.twist {
            Twist::DestroyStepHangs => never().await,
            _ => self.inner.destroy_step(step, task).await,
        }
    }

    async fn destroy_workflow(&self, workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        match self.twist {
            Twist::DestroyWorkflowHangs => never().await,
            _ => self.inner.destroy_workflow(workflow, task).await,
        }
    }

    async fn put(&self, task: &TaskUuid, path: &str, tar: TarStream) -> Result<()> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        match self.twist {
            Twist::PutFails => Err(Error::Workspace("it takes no files".to_owned())),
            _ => self.inner.put(task, path, tar).await,
        }
    }

    async fn get(&self, task: &TaskUuid, paths: &[Glob]) -> Result<TarStream> {
        let archive = self.inner.get(task, paths).await?;
        match self.twist {
            Twist::GetFails => Err(Error::Workspace("it gives no files".to_owned())),
            Twist::GetHangs => never().await,
            Twist::GetBreaksOff => {
                let torn = std::io::Error::other("torn");
                Ok(Box::pin(futures_util::StreamExt::chain(archive, futures_util::stream::iter([Err(torn)]))))
            }
            _ => Ok(archive),
        }
    }
}
