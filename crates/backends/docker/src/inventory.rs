//! Everything in the engine that carries a Jobwright's owner label, of this owner and of others (`Inventory`). Looks only.

use std::collections::HashMap;

use async_trait::async_trait;
use bollard::query_parameters::{ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};
use jobwright_backend::{Holding, Inventory, Result, labels};
use jobwright_model::{OwnerId, RunId, TaskUuid};

use crate::Docker;
use crate::belongings::Labels;
use crate::records::Life;

#[async_trait]
impl Inventory for Docker {
    async fn holdings(&self) -> Result<Vec<Holding>> {
        let engine = self.inner.engine().await?;
        let filters = HashMap::from([("label".to_owned(), vec![labels::OWNER.to_owned()])]);
        let networks = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let volumes = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let (containers, networks, volumes) = tokio::join!(
            engine.containers_filtered(&filters),
            engine.quick.list_networks(Some(networks)),
            engine.quick.list_volumes(Some(volumes)),
        );
        let networks = networks.map_err(|error| engine.error("list networks", &error))?;
        let volumes = volumes.map_err(|error| engine.error("list volumes", &error))?;
        let containers = containers?.into_iter().map(|container| {
            let runs = container.life() == Life::Alive;
            let name = container.name().to_owned();
            holding("container", name, container.labels.unwrap_or_default(), runs)
        });
        let networks = networks.into_iter().filter_map(|network| {
            Some(holding("network", network.name?, network.labels.unwrap_or_default(), false))
        });
        let volumes = volumes.volumes.unwrap_or_default().into_iter();
        let volumes = volumes.map(|volume| holding("volume", volume.name, volume.labels, false));
        // Engines' filters are not all to be believed.
        Ok(containers.chain(networks).chain(volumes).flatten().collect())
    }
}

/// None for what carries no owner's label.
fn holding(kind: &'static str, name: String, carried: Labels, runs: bool) -> Option<Holding> {
    let label = |key: &str| carried.get(key).cloned();
    Some(Holding {
        owner: OwnerId::new(label(labels::OWNER)?).ok(),
        task: label(labels::TASK).and_then(|task| TaskUuid::new(task).ok()),
        run: label(labels::RUN).and_then(|run| RunId::new(run).ok()),
        kind,
        name,
        runs,
    })
}
