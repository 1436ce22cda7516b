//! Attacks against peers' numbers, worked examples and their laws.

mod checks;
mod data;
mod docs;
mod laws;
mod search;
mod vectors;

use super::geometry::numbers;
use super::*;
use serde_json::Value;
use tch::Kind as Dtype;

/// An attack from inline TOML, such as `alie = { z = 1.5 }`.
fn kind(spec: &str) -> Kind {
    #[derive(Deserialize)]
    struct File {
        kind: Kind,
    }
    toml::from_str::<File>(&format!("kind = {{ {spec} }}")).unwrap_or_else(|e| panic!("{spec}: {e}")).kind
}

/// Rows in f64.
fn tensor(rows: &[Vec<f64>]) -> Tensor {
    Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1])
}

fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    tensor.unbind(0).iter().map(|row| numbers(row).unwrap()).collect()
}

/// A scene of omniscient attackers whose own updates are zeros.
fn forge(kind: &Kind, seen: &Tensor, forged: i64) -> Tensor {
    let own = Tensor::zeros([forged, seen.size()[1]], (seen.kind(), seen.device()));
    forge_with(kind, seen, &own, None, None, Knowledge::Omniscient)
}

fn forge_with(
    kind: &Kind,
    seen: &Tensor,
    own: &Tensor,
    defence: Option<Defence>,
    previous: Option<&Tensor>,
    knowledge: Knowledge,
) -> Tensor {
    let clients = match knowledge {
        Knowledge::Omniscient => (seen.size()[0] + own.size()[0]) as usize,
        Knowledge::Own => 3 * own.size()[0] as usize,
    };
    let stream = Stream::root(3);
    let senders: Vec<u64> = (0..seen.size()[0] as u64).collect();
    let scene = Scene { seen, senders: &senders, own, knowledge, clients, defence, previous, stream: &stream };
    let mut attack = kind.build().unwrap();
    attack.learn(&scene).unwrap();
    attack.forge(&scene).unwrap()
}

fn list(value: &Value) -> Vec<f64> {
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| v.as_str().unwrap().parse().unwrap());
    value.as_array().unwrap().iter().map(number).collect()
}

fn matrix(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(list).collect()
}

/// To 1e-6 of the largest expected value.
fn assert_close(made: &[f64], expected: &[f64], what: &str) {
    let largest = expected.iter().filter(|x| x.is_finite()).fold(0.0_f64, |a, x| a.max(x.abs()));
    let close = made.iter().zip(expected).all(|(a, b)| a == b || (a - b).abs() <= 1e-6 * largest);
    assert!(close && made.len() == expected.len(), "{what}: {made:?} is not {expected:?}");
}
