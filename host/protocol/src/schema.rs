//! JSON Schemas of what serde does not derive: texts with a form, and what is submitted, which has a
//! reader of its own. They say what this crate's readers take; nothing is read with them.

mod submission;
mod text;

pub use submission::{JobSubmission, ResourcesSubmission, Submission, TaskSubmission};
pub use text::{
    DurationText, JobIdText, LabelsText, MemoryText, NameText, TaskIdText, TimestampText,
    WorkerIdText,
};

/// A type of which only the schema is wanted.
macro_rules! schema {
    ($(#[$doc:meta])* $type:ident as $name:literal: $generator:ident => $schema:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $type;

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
pub(crate) use schema;
