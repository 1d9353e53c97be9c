//! The contract of `wit/` as Rust types, generated: one module per world. Conversions into the
//! scheduler's own types are in [`crate::convert`].

/// Slot `scoring`; the types and imports shared by all worlds are generated here.
pub mod scoring {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "scoring-policy",
        additional_derives: [PartialEq],
    });
}

/// Slot `scoring`, with the optional export `explanation`.
pub mod explained_scoring {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "explained-scoring-policy",
        with: {
            "pointsman:policy/types": crate::bindings::scoring::pointsman::policy::types,
            "pointsman:policy/host": crate::bindings::scoring::pointsman::policy::host,
        },
    });
}

/// Slot `queue`.
pub mod queue {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "queue-policy",
        with: {
            "pointsman:policy/types": crate::bindings::scoring::pointsman::policy::types,
            "pointsman:policy/host": crate::bindings::scoring::pointsman::policy::host,
        },
    });
}

/// Slot `rescheduling`.
pub mod rescheduling {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "rescheduling-policy",
        with: {
            "pointsman:policy/types": crate::bindings::scoring::pointsman::policy::types,
            "pointsman:policy/host": crate::bindings::scoring::pointsman::policy::host,
        },
    });
}

/// Slot `forecasting`.
pub mod forecasting {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "forecasting-policy",
        with: {
            "pointsman:policy/types": crate::bindings::scoring::pointsman::policy::types,
            "pointsman:policy/host": crate::bindings::scoring::pointsman::policy::host,
        },
    });
}

pub use scoring::pointsman::policy::{host, types};
