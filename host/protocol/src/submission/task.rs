//! One task, field by field. Paths in errors start at the task.

use super::keys::{self, RESOURCE_KEYS, TASK_KEYS};
use super::{
    DEPENDENCIES_MAX, ENV_BYTES_MAX, ENV_MAX, ENV_VALUE_BYTES_MAX, RETRIES_MAX, SCRIPT_BYTES_MAX,
    WORKDIR_BYTES_MAX,
};
use crate::decimal::{Decimal, Product};
use crate::duration::{parse_duration, parse_seconds};
use crate::field::{FieldError, Flaw, quote};
use crate::json::BODY;
use crate::labels::{check_labels, show_key};
use crate::name::parse_name;
use crate::quantity::{parse_cpu, parse_gpu, parse_memory, parse_memory_bytes};
use crate::value::Value;
use pointsman_scheduler::resources::Request;
use pointsman_scheduler::spec::{DEFAULT, OnDisconnect, TaskSpec};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

type Entries<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// The task with the number of its dependencies as written.
pub(super) fn from_entries(entries: Entries<'_>) -> Result<(TaskSpec, usize), FieldError> {
    let mut task = TaskSpec::new("", "");
    let mut n_dependencies = 0;
    for (key, value) in entries {
        match key.as_ref() {
            "task_name" => task.name = name(value, "task_name")?,
            "script" => task.script = script(value).map_err(|flaw| flaw.at("script"))?.into(),
            "resources" => {
                let mut text = String::new();
                value.write_json(&mut text);
                task.resources_text = text.into();
                task.request = resources(value)?;
            }
            "dependencies" => (task.dependencies, n_dependencies) = dependencies(value)?,
            "queue" => task.queue = name(value, "queue")?.into(),
            "tenant" => task.tenant = name(value, "tenant")?.into(),
            "priority" => task.priority = priority(&value).map_err(|flaw| flaw.at("priority"))?,
            "timeout" => task.timeout = Some(duration(&value, "timeout")?),
            "max_retries" => task.max_retries = Some(count(&value, "max_retries")?),
            "max_worker_losses" => {
                task.max_worker_losses = Some(count(&value, "max_worker_losses")?);
            }
            "expected" => task.expected = Some(duration(&value, "expected")?),
            "labels" => task.labels = labels(value, "labels")?.into(),
            "requires" => task.requires = labels(value, "requires")?.into(),
            "env" => task.env = environment(value)?.into(),
            "workdir" => {
                let path = workdir(value).map_err(|flaw| flaw.at("workdir"))?;
                task.workdir = Some(path.into());
            }
            "on_disconnect" => {
                task.on_disconnect =
                    on_disconnect(&value).map_err(|flaw| flaw.at("on_disconnect"))?;
            }
            "job" => only_default_job(&value).map_err(|flaw| flaw.at("job"))?,
            other => return Err(keys::unknown(other, &TASK_KEYS)),
        }
    }
    // Neither can be empty once it was read.
    if task.name.is_empty() {
        return Err(Flaw::new("has no \"task_name\"", "name the task").at(BODY));
    }
    if task.script.is_empty() {
        return Err(Flaw::new("has no \"script\"", "say what the task runs").at(BODY));
    }
    Ok((task, n_dependencies))
}

fn name(value: Value<'_>, field: &str) -> Result<String, FieldError> {
    parse_name(&value.into_text(field)?).map_err(|flaw| flaw.at(field))
}

fn script(value: Value<'_>) -> Result<String, Flaw> {
    let Value::Text(text) = value else {
        return Err(value.mistyped("write a text that /bin/sh runs"));
    };
    if text.is_empty() {
        return Err(Flaw::new("is empty", "say what the task runs, for example \"true\""));
    }
    if text.len() > SCRIPT_BYTES_MAX {
        return Err(Flaw::new(
            format!("has {} bytes", text.len()),
            "give at most 1 MiB; put the rest into a file that the script calls",
        ));
    }
    if text.contains('\0') {
        return Err(Flaw::new("contains U+0000", "remove that character"));
    }
    Ok(text.into_owned())
}

/// What is left out takes its default: one core, 100 MB, no device.
fn resources(value: Value<'_>) -> Result<Request, FieldError> {
    let mut request = TaskSpec::new("", "").request;
    for (key, value) in value.into_map("resources")? {
        match key.as_ref() {
            "cpu" => {
                request.cpu_milli = number(&value, "write a number of cores, like 0.5 or 4")
                    .and_then(parse_cpu)
                    .map_err(|flaw| flaw.at("resources.cpu"))?;
            }
            "gpu" => {
                request.gpu_milli = number(&value, "write a number of devices, like 1 or 0.25")
                    .and_then(parse_gpu)
                    .map_err(|flaw| flaw.at("resources.gpu"))?;
            }
            "memory" => {
                request.memory = memory(&value).map_err(|flaw| flaw.at("resources.memory"))?;
            }
            other => {
                let error = keys::unknown(other, &RESOURCE_KEYS);
                return Err(FieldError { field: format!("resources.{}", error.field), ..error });
            }
        }
    }
    if request == (Request { cpu_milli: 0, memory: 0, gpu_milli: 0 }) {
        let remedy = "ask for some cpu, memory or gpu, or leave the key out for the defaults";
        return Err(Flaw::new("asks for nothing at all", remedy).at("resources"));
    }
    Ok(request)
}

fn memory(value: &Value<'_>) -> Result<u64, Flaw> {
    match value {
        Value::Text(text) => parse_memory(text),
        Value::Number(number) => parse_memory_bytes(number),
        other => Err(other.mistyped("write it like \"8GB\", or as whole bytes")),
    }
}

fn number<'v>(value: &'v Value<'_>, remedy: &str) -> Result<&'v str, Flaw> {
    match value {
        Value::Number(number) => Ok(number),
        Value::Text(text) if Decimal::parse(text).is_ok() => {
            let problem = format!("is the text {}", quote(text));
            Err(Flaw::new(problem, format!("write the number without quotes: {text}")))
        }
        other => Err(other.mistyped(remedy)),
    }
}

/// In the order written, repeats removed; and their number before that.
fn dependencies(value: Value<'_>) -> Result<(Vec<String>, usize), FieldError> {
    let values = value.into_list("dependencies")?;
    if values.len() > DEPENDENCIES_MAX {
        let problem = format!("has {} entries", values.len());
        let remedy = format!("give at most {DEPENDENCIES_MAX}; collect them in a task between");
        return Err(Flaw::new(problem, remedy).at("dependencies"));
    }
    let n_written = values.len();
    let mut names = Vec::with_capacity(n_written);
    for (position, value) in values.into_iter().enumerate() {
        let name = match value {
            Value::Text(text) => parse_name(&text),
            other => Err(other.mistyped("write the name of a task")),
        };
        names.push(name.map_err(|flaw| flaw.at(format!("dependencies[{position}]")))?);
    }
    if names.len() > 1 {
        let mut seen = HashSet::with_capacity(names.len());
        let is_first: Vec<bool> = names.iter().map(|name| seen.insert(name.as_str())).collect();
        let mut is_first = is_first.into_iter();
        names.retain(|_| is_first.next().expect("one answer per name"));
    }
    Ok((names, n_written))
}

fn priority(value: &Value<'_>) -> Result<i32, Flaw> {
    let remedy = "write a whole number from -2147483648 to 2147483647; higher is more urgent";
    let text = number(value, remedy)?;
    let flaw = || Flaw::new(format!("{} is not a priority", quote(text)), remedy);
    let (is_negative, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, text),
    };
    let Ok(Product::Whole(magnitude)) = Decimal::parse(magnitude).map(|it| it.times(1)) else {
        return Err(flaw());
    };
    let magnitude = i64::try_from(magnitude).map_err(|_| flaw())?;
    i32::try_from(if is_negative { -magnitude } else { magnitude }).map_err(|_| flaw())
}

fn count(value: &Value<'_>, field: &str) -> Result<u32, FieldError> {
    let remedy = format!("write a whole number from 0 to {RETRIES_MAX}");
    let text = number(value, &remedy).map_err(|flaw| flaw.at(field))?;
    match Decimal::parse(text).map(|it| it.times(1)) {
        Ok(Product::Whole(count)) if count <= u64::from(RETRIES_MAX) => Ok(count as u32),
        _ => Err(Flaw::new(format!("{} is out of range", quote(text)), remedy).at(field)),
    }
}

fn duration(value: &Value<'_>, field: &str) -> Result<Duration, FieldError> {
    let duration = match value {
        Value::Text(text) => parse_duration(text),
        Value::Number(number) => parse_seconds(number),
        other => Err(other.mistyped("write a duration like \"30m\", or whole seconds")),
    };
    duration.map_err(|flaw| flaw.at(field))
}

fn texts(value: Value<'_>, field: &str) -> Result<BTreeMap<String, String>, FieldError> {
    let mut map = BTreeMap::new();
    for (key, value) in value.into_map(field)? {
        let text = match value {
            Value::Text(text) => text.into_owned(),
            other => {
                let path = format!("{field}.{}", show_key(&key));
                return Err(other.into_text(&path).expect_err("it is not a text"));
            }
        };
        map.insert(key.into_owned(), text);
    }
    Ok(map)
}

fn labels(value: Value<'_>, field: &str) -> Result<BTreeMap<String, String>, FieldError> {
    let labels = texts(value, field)?;
    check_labels(&labels, field)?;
    Ok(labels)
}

fn environment(value: Value<'_>) -> Result<BTreeMap<String, String>, FieldError> {
    let env = texts(value, "env")?;
    if env.len() > ENV_MAX {
        let problem = format!("has {} variables", env.len());
        return Err(Flaw::new(problem, format!("give at most {ENV_MAX}")).at("env"));
    }
    for (name, value) in &env {
        check_variable(name, value).map_err(|flaw| flaw.at(format!("env.{}", show_key(name))))?;
    }
    let n_bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if n_bytes > ENV_BYTES_MAX {
        let problem = format!("has {n_bytes} bytes altogether");
        let remedy = format!("give at most {ENV_BYTES_MAX}; put large values into files");
        return Err(Flaw::new(problem, remedy).at("env"));
    }
    Ok(env)
}

fn check_variable(name: &str, value: &str) -> Result<(), Flaw> {
    let is_word = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    let is_valid =
        name.bytes().all(is_word) && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit();
    if !is_valid {
        let problem = format!("{} is not a name of a variable", quote(name));
        return Err(Flaw::new(problem, "use letters, digits and '_', not starting with a digit"));
    }
    if name.starts_with("POINTSMAN_") {
        let problem = "names starting with POINTSMAN_ are set by the worker";
        return Err(Flaw::new(problem, "use another name"));
    }
    if value.contains('\0') {
        return Err(Flaw::new("its value contains U+0000", "remove that character"));
    }
    if value.len() > ENV_VALUE_BYTES_MAX {
        let problem = format!("its value has {} bytes", value.len());
        let remedy = format!("give at most {ENV_VALUE_BYTES_MAX}; put the rest into a file");
        return Err(Flaw::new(problem, remedy));
    }
    Ok(())
}

fn workdir(value: Value<'_>) -> Result<String, Flaw> {
    let remedy = "write an absolute path on the worker, or leave the key out for a fresh folder";
    let Value::Text(text) = value else {
        return Err(value.mistyped(remedy));
    };
    if !text.starts_with('/') {
        return Err(Flaw::new(format!("{} is not an absolute path", quote(&text)), remedy));
    }
    if text.len() > WORKDIR_BYTES_MAX {
        let problem = format!("has {} bytes", text.len());
        return Err(Flaw::new(problem, format!("give at most {WORKDIR_BYTES_MAX}")));
    }
    if text.chars().any(char::is_control) {
        return Err(Flaw::new("contains a control character", "remove that character"));
    }
    Ok(text.into_owned())
}

fn on_disconnect(value: &Value<'_>) -> Result<OnDisconnect, Flaw> {
    let remedy = "write \"keep\" or \"stop\"";
    match value {
        Value::Text(text) if text == "keep" => Ok(OnDisconnect::Keep),
        Value::Text(text) if text == "stop" => Ok(OnDisconnect::Stop),
        other => Err(other.mistyped(remedy)),
    }
}

/// Only the always-open job takes single tasks.
fn only_default_job(value: &Value<'_>) -> Result<(), Flaw> {
    match value {
        Value::Text(text) if text == DEFAULT => Ok(()),
        other => {
            let remedy =
                "only \"default\" takes single tasks; submit the job whole with its \"tasks\"";
            Err(other.mistyped(remedy))
        }
    }
}
