//! Whom `mimic` copies: a row by its number, or `"learned"`.

use serde::de::{self, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Who is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// This honest row of the round, counted from 0; the last one where there are fewer.
    Row(usize),
    /// The client that is furthest out along the direction in which honest updates vary most.
    Learned,
}

impl Default for Target {
    fn default() -> Self {
        Target::Row(0)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Target::Row(row) => s.serialize_u64(*row as u64),
            Target::Learned => s.serialize_str("learned"),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Target;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a whole number from 0, or \"learned\"")
            }
            fn visit_i64<E: de::Error>(self, row: i64) -> Result<Target, E> {
                usize::try_from(row).map(Target::Row).map_err(|_| E::invalid_value(Unexpected::Signed(row), &self))
            }
            fn visit_u64<E: de::Error>(self, row: u64) -> Result<Target, E> {
                Ok(Target::Row(row as usize))
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Target, E> {
                match name {
                    "learned" => Ok(Target::Learned),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }
        }
        d.deserialize_any(Visitor)
    }
}
