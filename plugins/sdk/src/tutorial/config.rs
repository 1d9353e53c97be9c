#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What free memory weighs against the price, from 0 to 1.
    room: f64,
    /// A worker that costs this much, or more, gets nothing for its price.
    dear: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { room: 0.5, dear: 10.0 }
    }
}
