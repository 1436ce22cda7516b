//! Rows that clients leave behind, by client, from their first training on.

use super::State;
use std::collections::BTreeMap;
use tch::Tensor;

/// Rows `[P]` by client, and one of the server.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub clients: BTreeMap<usize, Tensor>,
    pub server: Option<Tensor>,
}

const SERVER: &str = "server";
const CLIENT: &str = "client.";

impl Memory {
    /// A client's row.
    pub fn of(&self, client: usize) -> Option<Tensor> {
        self.clients.get(&client).map(Tensor::shallow_clone)
    }

    /// The server's row.
    pub fn served(&self) -> Option<Tensor> {
        self.server.as_ref().map(Tensor::shallow_clone)
    }

    /// Named tensors of a checkpoint.
    pub fn state(&self) -> State {
        let clients = self.clients.iter().map(|(client, row)| (format!("{CLIENT}{client}"), row.shallow_clone()));
        clients.chain(self.served().map(|row| (SERVER.to_string(), row))).collect()
    }

    /// Takes them back.
    pub fn restore(&mut self, state: State) {
        *self = Self::default();
        for (name, row) in state {
            if name == SERVER {
                self.server = Some(row);
            } else if let Some(client) = name.strip_prefix(CLIENT).and_then(|client| client.parse().ok()) {
                self.clients.insert(client, row);
            }
        }
    }
}
