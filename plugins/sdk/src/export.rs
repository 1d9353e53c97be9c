//! The macros that make a policy a component. Natively they check the types and
//! expand to nothing else, so that the same crate is an ordinary library.

/// Exports a [`Scoring`](crate::Scoring) policy as a component. Once per crate.
#[macro_export]
macro_rules! export_scoring {
    ($policy:ty) => {
        const _: () = $crate::glue::assert_columns::<<$policy as $crate::Scoring>::Worker>();
        $crate::export_test!(
            <$policy as $crate::Scoring>::Task,
            <$policy as $crate::Scoring>::Worker
        );

        #[cfg(target_arch = "wasm32")]
        mod pointsman_component {
            $crate::export_shared!(scoring, scoring, $policy);
            use exports::pointsman::policy::{explanation, scoring};

            impl scoring::Guest for PointsmanComponent {
                fn score(task: Vec<f64>, workers: Vec<Vec<f64>>) -> Result<Vec<f64>, String> {
                    <PointsmanPolicy as Kept>::with(|it| {
                        let (task, workers) = (it.task(task), it.workers(workers));
                        glue::score(&it.policy, &task, &workers)
                    })
                }
            }

            impl explanation::Guest for PointsmanComponent {
                fn explain(
                    task: Vec<f64>,
                    workers: Vec<Vec<f64>>,
                    row: u32,
                ) -> Result<Vec<(String, f64)>, String> {
                    <PointsmanPolicy as Kept>::with(|it| {
                        let (task, workers) = (it.task(task), it.workers(workers));
                        glue::explain(&it.policy, &task, &workers, row)
                    })?
                }
            }
        }
    };
}

/// Exports a [`Queue`](crate::Queue) policy as a component. Once per crate.
#[macro_export]
macro_rules! export_queue {
    ($policy:ty) => {
        const _: () = $crate::glue::assert_columns::<<$policy as $crate::Queue>::Task>();
        $crate::export_test!(<$policy as $crate::Queue>::Task, $crate::NoColumns);

        #[cfg(target_arch = "wasm32")]
        mod pointsman_component {
            $crate::export_shared!(queue, queue, $policy);

            impl exports::pointsman::policy::queue::Guest for PointsmanComponent {
                fn rank(now_ms: f64, tasks: Vec<Vec<f64>>) -> Result<Vec<f64>, String> {
                    <PointsmanPolicy as Kept>::with(|it| {
                        glue::rank(&it.policy, now_ms, &it.tasks(tasks))
                    })
                }
            }
        }
    };
}

/// Exports a [`Rescheduling`](crate::Rescheduling) policy as a component. Once per crate.
#[macro_export]
macro_rules! export_rescheduling {
    ($policy:ty) => {
        const _: () = $crate::glue::assert_rescheduling::<$policy>();
        $crate::export_test!(
            <$policy as $crate::Rescheduling>::Task,
            <$policy as $crate::Rescheduling>::Worker
        );

        #[cfg(target_arch = "wasm32")]
        mod pointsman_component {
            $crate::export_shared!(rescheduling, rescheduling, $policy);
            use pointsman::policy::types;

            impl exports::pointsman::policy::rescheduling::Guest for PointsmanComponent {
                fn review(
                    now_ms: f64,
                    tasks: Vec<Vec<f64>>,
                    on_worker: Vec<u32>,
                    workers: Vec<Vec<f64>>,
                ) -> Result<Vec<types::Proposal>, String> {
                    let proposals = <PointsmanPolicy as Kept>::with(|it| {
                        let (tasks, workers) = (it.tasks(tasks), it.workers(workers));
                        glue::review(&it.policy, now_ms, &tasks, &on_worker, &workers)
                    })?;
                    let to_wire = |(row, proposal): (u32, $crate::Proposal)| types::Proposal {
                        row,
                        action: match proposal.action {
                            $crate::Action::Migrate => types::Action::Migrate,
                            $crate::Action::Requeue => types::Action::Requeue,
                            $crate::Action::Cancel => types::Action::Cancel,
                            $crate::Action::RaisePriority(to) => types::Action::RaisePriority(to),
                        },
                        reason: proposal.reason,
                    };
                    Ok(proposals.into_iter().map(to_wire).collect())
                }
            }
        }
    };
}

/// Exports a [`Forecasting`](crate::Forecasting) policy as a component. Once per crate.
#[macro_export]
macro_rules! export_forecasting {
    ($policy:ty) => {
        const _: () = $crate::glue::assert_columns::<<$policy as $crate::Forecasting>::Worker>();

        #[cfg(test)]
        mod pointsman_columns {
            use super::*;

            #[test]
            fn no_column_is_unknown_to_the_host() {
                $crate::testing::assert_forecast_columns_known::<
                    <$policy as $crate::Forecasting>::Worker,
                    <$policy as $crate::Forecasting>::Forecast,
                >();
            }
        }

        #[cfg(target_arch = "wasm32")]
        mod pointsman_component {
            $crate::export_shared!(forecasting, forecasting, $policy);

            impl exports::pointsman::policy::forecasting::Guest for PointsmanComponent {
                fn forecast(workers: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>, String> {
                    <PointsmanPolicy as Kept>::with(|it| {
                        glue::forecast(&it.policy, &it.workers(workers))
                    })
                }
            }
        }
    };
}

/// Exports a [`ModelForecasting`](crate::ModelForecasting) policy as a component. Once per crate.
#[macro_export]
macro_rules! export_model_forecasting {
    ($policy:ty) => {
        const _: () = $crate::glue::assert_model_forecasting::<$policy>();

        #[cfg(target_arch = "wasm32")]
        mod pointsman_component {
            $crate::export_shared!(forecasting, model_forecasting, $policy);

            impl exports::pointsman::policy::forecasting::Guest for PointsmanComponent {
                fn forecast(workers: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>, String> {
                    <PointsmanPolicy as Kept>::with(|it| it.policy.forecast(&workers))
                }
            }
        }
    };
}

/// A test in the policy's crate, so that a misspelt field is found by `cargo test` even where the
/// author has written none.
#[doc(hidden)]
#[macro_export]
macro_rules! export_test {
    ($task:ty, $worker:ty) => {
        #[cfg(test)]
        mod pointsman_columns {
            use super::*;

            #[test]
            fn no_column_is_unknown_to_the_host() {
                $crate::testing::assert_columns_known::<$task, $worker>();
            }
        }
    };
}

/// What all slots have in common: bindings, the stamped contract version, the place where the policy
/// is kept, `configure`.
#[doc(hidden)]
#[macro_export]
macro_rules! export_shared {
    ($slot:ident, $configure:ident, $policy:ty) => {
        use super::*;
        use $crate::glue::{self, Kept};
        use $crate::host;

        // Names that a policy's own types hardly have: an alias of a type of its own name is a cycle.
        type PointsmanPolicy = $policy;

        $crate::generate_bindings!($slot);

        struct PointsmanComponent;
        export!(PointsmanComponent);

        /// The contract this policy was built for, readable before it is compiled.
        #[unsafe(link_section = "pointsman:policy")]
        #[used]
        static CONTRACT: [u8; $crate::CONTRACT.len()] = glue::bytes($crate::CONTRACT);

        // What the crate's Cargo.toml says of itself, for `pointsman policy list`.
        $crate::export_claim!(VERSION, "version", "CARGO_PKG_VERSION");
        $crate::export_claim!(DESCRIPTION, "description", "CARGO_PKG_DESCRIPTION");
        $crate::export_claim!(AUTHORS, "authors", "CARGO_PKG_AUTHORS");
        $crate::export_claim!(LICENSES, "licenses", "CARGO_PKG_LICENSE");
        $crate::export_claim!(SOURCE, "source", "CARGO_PKG_REPOSITORY");
        $crate::export_claim!(HOMEPAGE, "homepage", "CARGO_PKG_HOMEPAGE");

        static IMPORTS: host::Calls = host::Calls {
            log: |level, message| {
                let level = match level {
                    host::Level::Debug => pointsman::policy::host::Level::Debug,
                    host::Level::Info => pointsman::policy::host::Level::Info,
                    host::Level::Warn => pointsman::policy::host::Level::Warn,
                    host::Level::Error => pointsman::policy::host::Level::Error,
                };
                pointsman::policy::host::log(level, message);
            },
            gauge: pointsman::policy::host::gauge,
            intern: pointsman::policy::host::intern,
            asset: pointsman::policy::host::asset,
        };

        // One policy per instance; `configure` makes it.
        std::thread_local! {
            static POLICY: std::cell::OnceCell<glue::Configured<PointsmanPolicy>> =
                const { std::cell::OnceCell::new() };
        }

        impl Kept for PointsmanPolicy {
            fn with_cell<R>(
                f: impl FnOnce(&std::cell::OnceCell<glue::Configured<Self>>) -> R,
            ) -> R {
                POLICY.with(f)
            }
        }

        impl exports::pointsman::policy::lifecycle::Guest for PointsmanComponent {
            fn configure(
                config_json: String,
            ) -> Result<exports::pointsman::policy::lifecycle::Manifest, String> {
                host::connect(&IMPORTS);
                let about = glue::$configure::<PointsmanPolicy>(&config_json)?;
                Ok(exports::pointsman::policy::lifecycle::Manifest {
                    name: about.name,
                    version: about.version,
                    properties: about.properties,
                })
            }
        }
    };
}

/// A section of the file, with what cargo knows of the policy's crate; empty where that is nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! export_claim {
    ($name:ident, $section:literal, $variable:literal) => {
        #[unsafe(link_section = $section)]
        #[used]
        static $name: [u8; env!($variable).len()] = $crate::glue::bytes(env!($variable));
    };
}
