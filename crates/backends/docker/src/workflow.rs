//! The place that a workflow runs in: its network and its volume, made, found again, and taken away with all containers of
//! the task. Removal tries everything, and then says what could not be removed.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::{
    Ipam, IpamConfig, NetworkCreateRequest, NetworkDisconnectRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use futures_util::future::join_all;
use jobwright_backend::{Error, Result, labels};
use jobwright_model::{Auth, TaskUuid, Workflow};
use tokio::time::{sleep, timeout};

use crate::Inner;
use crate::belongings::{IMAGE, SERVICE, WORKSPACE, carries, having, shared_labels, shared_name};
use crate::engine::{Engine, EngineKind};
use crate::failure;
use crate::plan::{Made, Plan, Workspace, needs_network, workspace_of};
use crate::records::{Life, ListedContainer};
use crate::tasks::{Container, Phase};

/// How often a volume or network that is in use is tried, and the pause after the first time; it doubles.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The pause before a network is made again that could not be because an interface of the host went away.
const INTERFACES: Duration = Duration::from_millis(100);
/// How long a destruction waits for creations that are still under way.
const CREATIONS: Duration = Duration::from_secs(60);

/// A network of a task, as an engine lists it.
struct FoundNetwork {
    id: String,
    name: String,
    made: Made,
}

/// By what a network is told from all others: Docker may have several of one name.
fn known_as(kind: EngineKind, id: String, name: String) -> String {
    if kind == EngineKind::Docker { id } else { name }
}

impl Inner {
    /// Makes what the steps of `workflow` need besides containers. A second call finds what the first one made.
    pub(crate) async fn set_up(self: &Arc<Self>, workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        self.engine().await?;
        let memory = self.tasks.get(task);
        let creating = Arc::clone(&memory.creating).read_owned().await;
        let (inner, workflow, task) = (Arc::clone(self), workflow.clone(), task.clone());
        // As in `prepare`: goes on when the caller gives up, so that a destruction finds it.
        let work = tokio::spawn(async move {
            let made = inner.make_place(&workflow, &task).await;
            if let Ok(plan) = &made {
                memory.remember_plan(plan.clone());
            }
            drop(creating);
            made.map(drop)
        });
        work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    async fn make_place(&self, workflow: &Workflow, task: &TaskUuid) -> Result<Plan> {
        let engine = self.engine().await?;
        let workspace = workspace_of(workflow);
        let network = async {
            if needs_network(workflow) {
                self.make_network(engine, workflow, task).await.map(Some)
            } else {
                Ok(None)
            }
        };
        let volume = async {
            match &workspace {
                Some(workspace) => self.make_volume(engine, workflow, task, workspace).await.map(Some),
                None => Ok(None),
            }
        };
        let (network, volume) = tokio::join!(network, volume);
        Ok(Plan { network: network?, volume: volume?, workspace })
    }

    /// Docker makes a second network of the same name without a word, so it is asked first; and where one comes late that an owner which died
    /// had asked for, ours is known by its id.
    async fn make_network(&self, engine: &Engine, workflow: &Workflow, task: &TaskUuid) -> Result<Made> {
        let given = workflow.network.clone();
        let name = shared_name(&self.owner, task, &given);
        if let Some(made) = self.network_named(engine, task, &name).await? {
            return Ok(made);
        }
        let ipv6 = self.settings()?.ipv6;
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(shared_labels(&self.owner, task, workflow, &given)),
            enable_ipv6: Some(ipv6),
            ipam: (ipv6 && engine.kind == EngineKind::Docker).then(|| private_ipv6(&name)),
            ..NetworkCreateRequest::default()
        };
        let mut created = engine.quick.create_network(request.clone()).await;
        for _ in 1..TRIES {
            if !created.as_ref().is_err_and(failure::is_interface_gone) {
                break;
            }
            sleep(INTERFACES).await;
            created = engine.quick.create_network(request.clone()).await;
        }
        match created {
            Ok(created) => Ok(Made { given, name: known_as(engine.kind, created.id, name) }),
            Err(error) if failure::status(&error) == Some(409) => {
                let made = self.network_named(engine, task, &name).await?;
                made.ok_or(Error::NameTaken(name))
            }
            Err(error) => Err(engine.error("create the network", &error)),
        }
    }

    async fn network_named(&self, engine: &Engine, task: &TaskUuid, name: &str) -> Result<Option<Made>> {
        let found = self.networks_of(engine, task).await?.into_iter().find(|network| network.name == name);
        Ok(found.map(|network| network.made))
    }

    /// An engine answers the creation of a volume that exists with that volume: its labels say whether it is this task's.
    async fn make_volume(
        &self,
        engine: &Engine,
        workflow: &Workflow,
        task: &TaskUuid,
        workspace: &Workspace,
    ) -> Result<Made> {
        let given = workflow.volume.clone();
        let name = shared_name(&self.owner, task, &given);
        let mut carried = shared_labels(&self.owner, task, workflow, &given);
        carried.insert(IMAGE.to_owned(), workspace.image.clone());
        carried.insert(WORKSPACE.to_owned(), workspace.mount.clone());
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            driver: Some("local".to_owned()),
            labels: Some(carried),
            ..VolumeCreateRequest::default()
        };
        let volume = match engine.quick.create_volume(request).await {
            Ok(volume) => volume,
            Err(error) if failure::status(&error) == Some(409) => return Err(Error::NameTaken(name)),
            Err(error) => return Err(engine.error("create the volume", &error)),
        };
        let is = |key, value| volume.labels.get(key).map(String::as_str) == Some(value);
        if is(labels::OWNER, self.owner.as_str()) && is(labels::TASK, task.as_str()) {
            Ok(Made { given, name })
        } else {
            Err(Error::NameTaken(name))
        }
    }

    /// What `task` was set up with: remembered, or read back from labels. None when nothing says that it ever was.
    pub(crate) async fn plan_of(&self, task: &TaskUuid) -> Result<Option<Plan>> {
        let memory = self.tasks.get(task);
        if let Some(plan) = memory.plan() {
            return Ok(Some(plan));
        }
        let engine = self.engine().await?;
        let (networks, volumes) = tokio::join!(self.networks_of(engine, task), self.volumes_of(engine, task));
        let network = networks?.into_iter().next().map(|network| network.made);
        let (volume, workspace) = volumes?.into_iter().next().unzip();
        if network.is_none() && volume.is_none() {
            return Ok(None);
        }
        let plan = Plan { network, volume, workspace: workspace.flatten() };
        memory.remember_plan(plan.clone());
        Ok(Some(plan))
    }

    /// Takes away all that carries the task's label.
    pub(crate) async fn tear_down(&self, task: &TaskUuid) -> Result<()> {
        let engine = self.engine().await?;
        let memory = self.tasks.get(task);
        let finished = timeout(CREATIONS, memory.creating.write()).await;
        let mut problems = Vec::new();
        match self.containers_of(engine, task).await {
            Ok(containers) => {
                let known = memory.containers();
                let removals = containers.iter().map(|listed| {
                    let known = known.iter().find(|container| container.id == listed.id).cloned();
                    let container =
                        known.unwrap_or_else(|| Container::new(listed.id.clone(), Phase::Started, None));
                    async move {
                        let grace = self.grace(listed.label(SERVICE).is_some())?;
                        self.remove(engine, &container, listed.life() == Life::Alive, grace).await
                    }
                });
                problems.extend(join_all(removals).await.into_iter().filter_map(Result::err));
            }
            Err(error) => problems.push(error),
        }
        let (networks, volumes) =
            tokio::join!(self.remove_networks(engine, task), self.remove_volumes(engine, task));
        problems.extend(networks);
        problems.extend(volumes);
        drop(finished);
        if problems.is_empty() {
            self.tasks.forget(task);
        }
        summed_up(engine, task, problems)
    }

    pub(crate) async fn containers_of(
        &self,
        engine: &Engine,
        task: &TaskUuid,
    ) -> Result<Vec<ListedContainer>> {
        engine.containers(&self.marks(task)).await
    }

    /// The task's networks.
    async fn networks_of(&self, engine: &Engine, task: &TaskUuid) -> Result<Vec<FoundNetwork>> {
        let options = ListNetworksOptionsBuilder::new().filters(&having(&self.marks(task))).build();
        let found = engine.quick.list_networks(Some(options)).await;
        let found = found.map_err(|error| engine.error("list networks", &error))?;
        let ours = found.into_iter().filter(|network| carries(network.labels.as_ref(), &self.marks(task)));
        let named = ours.filter_map(|network| {
            let name = network.name?;
            let given = network.labels.unwrap_or_default().remove(labels::NAME).unwrap_or_default();
            let id = network.id.unwrap_or_else(|| name.clone());
            let made = Made { given, name: known_as(engine.kind, id.clone(), name.clone()) };
            Some(FoundNetwork { id, name, made })
        });
        Ok(named.collect())
    }

    /// Names of the task's volumes, and how their files are reached.
    async fn volumes_of(&self, engine: &Engine, task: &TaskUuid) -> Result<Vec<(Made, Option<Workspace>)>> {
        let options = ListVolumesOptionsBuilder::new().filters(&having(&self.marks(task))).build();
        let found = engine.quick.list_volumes(Some(options)).await;
        let found = found.map_err(|error| engine.error("list volumes", &error))?;
        let found = found.volumes.unwrap_or_default().into_iter();
        let ours = found.filter(|volume| carries(Some(&volume.labels), &self.marks(task)));
        let named = ours.map(|mut volume| {
            let given = volume.labels.remove(labels::NAME).unwrap_or_default();
            let (image, mount) = (volume.labels.remove(IMAGE), volume.labels.remove(WORKSPACE));
            let workspace =
                image.zip(mount).map(|(image, mount)| Workspace { mount, image, auth: Auth::default() });
            (Made { given, name: volume.name }, workspace)
        });
        Ok(named.collect())
    }

    /// Removes networks of the task besides the one that its steps join: an owner that died had asked for them, and they came late.
    pub(crate) async fn remove_late_networks(&self, engine: &Engine, task: &TaskUuid) -> Result<()> {
        let own = self.plan_of(task).await?.and_then(|plan| plan.network).map(|made| made.name);
        for network in self.networks_of(engine, task).await? {
            if own.as_ref().is_some_and(|own| *own != network.made.name) {
                remove_network(engine, &network.id).await?;
            }
        }
        Ok(())
    }

    async fn remove_networks(&self, engine: &Engine, task: &TaskUuid) -> Vec<Error> {
        match self.networks_of(engine, task).await {
            Ok(networks) => {
                let removals = networks.iter().map(|network| remove_network(engine, &network.id));
                join_all(removals).await.into_iter().filter_map(Result::err).collect()
            }
            Err(error) => vec![error],
        }
    }

    async fn remove_volumes(&self, engine: &Engine, task: &TaskUuid) -> Vec<Error> {
        match self.volumes_of(engine, task).await {
            Ok(volumes) => {
                let removals = volumes.iter().map(|(made, _)| remove_volume(engine, &made.name));
                join_all(removals).await.into_iter().filter_map(Result::err).collect()
            }
            Err(error) => vec![error],
        }
    }

    /// What everything of `task` carries.
    fn marks<'a>(&'a self, task: &'a TaskUuid) -> [(&'static str, &'a str); 2] {
        [(labels::OWNER, self.owner.as_str()), (labels::TASK, task.as_str())]
    }
}

/// Whoever else joined the network is put out of it; his container is not ours to touch.
async fn remove_network(engine: &Engine, id: &str) -> Result<()> {
    let mut pause = FIRST_PAUSE / 10;
    for attempt in 1.. {
        match engine.quick.remove_network(id).await {
            Ok(()) => break,
            Err(error) if failure::is_absent(&error) => break,
            Err(error) if failure::is_gone(&error) || attempt == TRIES => {
                return Err(engine.error(&format!("remove network {id}"), &error));
            }
            Err(_) => {}
        }
        if let Ok(network) = engine.quick.inspect_network(id, None).await {
            for container in network.containers.unwrap_or_default().into_keys() {
                let request = NetworkDisconnectRequest { container, force: Some(true) };
                // What this does not achieve, the next removal's error tells.
                let _ = engine.quick.disconnect_network(id, request).await;
            }
        }
        sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

// The engine lets go of a volume some time after its container is gone.
async fn remove_volume(engine: &Engine, name: &str) -> Result<()> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        match engine.quick.remove_volume(name, Some(options)).await {
            Ok(()) => break,
            Err(error) if failure::is_absent(&error) => break,
            Err(error) if attempt < TRIES && failure::is_in_use(&error) => {}
            Err(error) => return Err(engine.error(&format!("remove volume {name}"), &error)),
        }
        sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

/// One error for all that could not be removed.
fn summed_up(engine: &Engine, task: &TaskUuid, mut problems: Vec<Error>) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let gone = problems.iter().position(|problem| matches!(problem, Error::EngineGone { .. }));
    if let Some(position) = gone {
        return Err(problems.swap_remove(position));
    }
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Err(Error::Engine {
        engine: engine.kind.name(),
        operation: format!("remove all of task {task}"),
        message: all.join("; "),
    })
}

/// A private IPv6 network that follows from the name: Docker has no pool of its own to take one from.
fn private_ipv6(name: &str) -> Ipam {
    // FNV-1a; spreads names over the 2^56 networks of fd00::/8.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [a, b, c, d, e, f, g, _] = hash.to_be_bytes();
    let subnet = format!("fd{a:02x}:{b:02x}{c:02x}:{d:02x}{e:02x}:{f:02x}{g:02x}::/64");
    Ipam {
        config: Some(vec![IpamConfig { subnet: Some(subnet), ..IpamConfig::default() }]),
        ..Ipam::default()
    }
}
