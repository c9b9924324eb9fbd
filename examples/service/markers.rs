//! Marker files that tell others about the service; a batch, because they come from a table.

use std::fs;
use std::net::SocketAddr;

use castoff::{Category, ResourceDefinition, ResourceGuard, ResourceManager};

use crate::Result;
use crate::directory::DataDirectory;

/// Writes the files, then registers them: all of them or, if one is refused, none.
pub(crate) fn write(
    manager: &ResourceManager,
    directory: &ResourceGuard<DataDirectory>,
    address: SocketAddr,
) -> Result<Vec<ResourceGuard<()>>> {
    let markers = [
        ("pid", std::process::id().to_string(), "orders-db"),
        ("address", address.to_string(), "http-server"),
        // Taken away first, so that nobody comes while the rest ends.
        ("ready", String::new(), "address"),
    ];
    let mut definitions = Vec::new();
    for (name, content, dependency) in markers {
        let file = directory.path().join(name);
        fs::write(&file, content)?;
        let definition = ResourceDefinition::new(format!("marker {name}"), move || fs::remove_file(file))
            .named(name)
            .category(Category::File)
            .depends_on_name(dependency);
        definitions.push(definition);
    }
    Ok(manager.register_batch(definitions)?)
}
