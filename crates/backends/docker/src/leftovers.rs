//! What an owner has in the engine, for tests and for people who ask.

use std::fmt;

use bollard::query_parameters::{ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};
use jobwright_backend::{Result, labels};
use jobwright_model::OwnerId;

use crate::Inner;
use crate::belongings::having;

/// Names of everything that carries an owner's label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Containers, ended ones too.
    pub containers: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
}

impl Leftovers {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    /// Each thing in words: `container jw_t1_s1`.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        let kinds = [("container", &self.containers), ("network", &self.networks), ("volume", &self.volumes)];
        kinds.into_iter().flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind} {name}")))
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.iter().collect();
        f.write_str(if all.is_empty() { "nothing" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

impl Inner {
    pub(crate) async fn leftovers(&self, owner: &OwnerId) -> Result<Leftovers> {
        let engine = self.engine().await?;
        let marks = [(labels::OWNER, owner.as_str())];
        let filters = having(&marks);
        let networks = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let volumes = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let (containers, networks, volumes) = tokio::join!(
            engine.containers(&marks),
            engine.quick.list_networks(Some(networks)),
            engine.quick.list_volumes(Some(volumes)),
        );
        let networks = networks.map_err(|error| engine.error("list networks", &error))?;
        let volumes = volumes.map_err(|error| engine.error("list volumes", &error))?;
        Ok(Leftovers {
            containers: containers?.iter().map(|container| container.name().to_owned()).collect(),
            networks: networks.into_iter().filter_map(|network| network.name).collect(),
            volumes: volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect(),
        })
    }
}
