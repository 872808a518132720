//! Fetching images, one pull for all steps that want the same image at the same time. Not for deciding when (`prepare`).

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bollard::Docker as Client;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as EngineError;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use jobwright_backend::{Error, ImageProblem, Progress, ProgressEvent, Result};
use jobwright_model::Step;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;

use crate::credentials::credentials_for;
use crate::engine::{Engine, EngineKind};
use crate::failure;
use crate::image::ImageReference;

/// How many events of a pull a slow listener may be behind before it misses some.
const BACKLOG: usize = 256;

/// What came of a pull, in a form that several steps can be told.
#[derive(Clone)]
enum Outcome {
    Here,
    Failed(ImageProblem),
    DiskFull,
    EngineGone(String),
}

/// A pull under way. It is given up when the last step that wants it is.
struct Flight {
    events: broadcast::Sender<ProgressEvent>,
    outcome: watch::Receiver<Option<Outcome>>,
    task: AbortHandle,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What makes two pulls the same one. Other credentials are another pull: who may not see an image must not get it from
/// a neighbour's.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Wish {
    image: String,
    platform: Option<String>,
    credentials: Option<String>,
}

/// The pulls under way.
#[derive(Default)]
pub(crate) struct Pulls {
    flights: Mutex<HashMap<Wish, Weak<Flight>>>,
}

impl Pulls {
    /// Fetches the image of `step`, telling `progress` of it.
    ///
    /// # Errors
    /// [`Error::Image`], [`Error::DiskFull`], [`Error::EngineGone`].
    pub(crate) async fn pull(
        &self,
        engine: &Engine,
        step: &Step,
        platform: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let reference = ImageReference::parse(&step.image)?;
        let credentials = credentials_for(&reference, &step.auth_config).await;
        let wish = Wish {
            image: step.image.clone(),
            platform: platform.map(str::to_owned),
            credentials: credentials.as_ref().and_then(|found| serde_json::to_string(found).ok()),
        };
        progress.report(ProgressEvent::PullStarted { image: step.image.clone() });
        let flight = self.join(engine, wish, reference, credentials);
        let (mut events, mut outcome) = (flight.events.subscribe(), flight.outcome.clone());
        let mut landing =
            pin!(async move { outcome.wait_for(Option::is_some).await.ok().and_then(|came| came.clone()) });
        let outcome = loop {
            tokio::select! {
                biased;
                // A listener that was too slow has missed some; the next one comes at once.
                event = events.recv() => if let Ok(event) = event { progress.report(event) },
                came = &mut landing => break came,
            }
        };
        let image = step.image.clone();
        match outcome {
            Some(Outcome::Here) => {
                progress.report(ProgressEvent::PullFinished { image });
                Ok(())
            }
            Some(Outcome::Failed(problem)) => Err(Error::Image { image, problem }),
            Some(Outcome::DiskFull) => Err(Error::DiskFull(format!("the engine pulled {image}"))),
            Some(Outcome::EngineGone(reason)) => {
                Err(Error::EngineGone { engine: engine.kind.name(), reason })
            }
            None => Err(Error::Image {
                image,
                problem: ImageProblem::PullFailed("the pull was given up".to_owned()),
            }),
        }
    }

    fn join(
        &self,
        engine: &Engine,
        wish: Wish,
        reference: ImageReference,
        credentials: Option<DockerCredentials>,
    ) -> Arc<Flight> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(&wish).and_then(Weak::upgrade)
            && flight.outcome.borrow().is_none()
        {
            return flight;
        }
        let (events, _) = broadcast::channel(BACKLOG);
        let (tell, outcome) = watch::channel(None);
        let (client, kind, listeners) = (engine.patient.clone(), engine.kind, events.clone());
        let platform = wish.platform.clone().unwrap_or_default();
        let task = tokio::spawn(async move {
            let came = fetch(&client, kind, &reference, &platform, credentials, &listeners).await;
            let _ = tell.send(Some(came));
        });
        let flight = Arc::new(Flight { events, outcome, task: task.abort_handle() });
        flights.insert(wish, Arc::downgrade(&flight));
        flight
    }
}

async fn fetch(
    client: &Client,
    kind: EngineKind,
    reference: &ImageReference,
    platform: &str,
    credentials: Option<DockerCredentials>,
    listeners: &broadcast::Sender<ProgressEvent>,
) -> Outcome {
    let options = CreateImageOptionsBuilder::new()
        .from_image(&reference.name)
        .tag(&reference.version)
        .platform(platform);
    let mut stream = client.create_image(Some(options.build()), None, credentials).boxed();
    while let Some(item) = stream.next().await {
        match item {
            Ok(info) => {
                if let Some(event) = layer_event(info) {
                    let _ = listeners.send(event);
                }
            }
            Err(error) => return outcome_of(kind, &error),
        }
    }
    Outcome::Here
}

fn outcome_of(kind: EngineKind, error: &EngineError) -> Outcome {
    match failure::translate(kind, "pull the image", error) {
        Error::DiskFull(_) => Outcome::DiskFull,
        Error::EngineGone { reason, .. } => Outcome::EngineGone(reason),
        _ => Outcome::Failed(failure::pull_problem(error)),
    }
}

fn layer_event(info: CreateImageInfo) -> Option<ProgressEvent> {
    let detail = info.progress_detail.unwrap_or_default();
    let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    Some(ProgressEvent::Layer {
        layer: info.id?,
        status: info.status.unwrap_or_default(),
        current: number(detail.current),
        total: number(detail.total),
    })
}
