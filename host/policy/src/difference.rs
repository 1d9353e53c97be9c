//! Where a component's interfaces differ from the contract's, in the words of WIT: what is expected and
//! what was found. The comparison by which a component is refused only names the place.

use std::collections::BTreeMap;
use wit_component::{DecodedWasm, OutputToString, WitPrinter};
use wit_parser::{InterfaceId, Resolve, World, WorldId, WorldItem};

/// The first item of `component`'s interfaces that `world` has otherwise or not at all; None: there is
/// none. What is missing is named by the comparison itself.
pub(crate) fn first(contract: &Resolve, world: WorldId, component: &[u8]) -> Option<String> {
    let Ok(DecodedWasm::Component(resolve, own)) = wit_component::decode(component) else {
        return None;
    };
    let theirs = interfaces(&resolve, &resolve.worlds[own]);
    let ours = interfaces(contract, &contract.worlds[world]);
    theirs.iter().find_map(|(name, theirs)| {
        let ours = items(contract, *ours.get(name)?);
        between(name, &ours, &items(&resolve, *theirs))
    })
}

/// The interfaces that a world imports or exports, by their full names.
fn interfaces(resolve: &Resolve, world: &World) -> BTreeMap<String, InterfaceId> {
    let all = world.imports.iter().chain(&world.exports);
    let interface = |(key, item): (_, &WorldItem)| match item {
        WorldItem::Interface { id, .. } => Some((resolve.name_world_key(key), *id)),
        WorldItem::Function(_) | WorldItem::Type { .. } => None,
    };
    all.filter_map(interface).collect()
}

fn between(
    interface: &str,
    ours: &BTreeMap<String, String>,
    theirs: &BTreeMap<String, String>,
) -> Option<String> {
    theirs.iter().find_map(|(name, found)| match ours.get(name) {
        Some(expected) if expected == found => None,
        Some(expected) => Some(format!("{interface}: expected `{expected}`, found `{found}`")),
        None => Some(format!("{interface}: found `{found}`, which the contract does not have")),
    })
}

/// The types and functions of an interface, each in one line, by name.
fn items(resolve: &Resolve, interface: InterfaceId) -> BTreeMap<String, String> {
    let mut printer = WitPrinter::new(OutputToString::default());
    printer.emit_docs(false);
    if printer.print_interface(resolve, interface).is_err() {
        return BTreeMap::new();
    }
    let text = printer.output.to_string();
    let mut items = BTreeMap::new();
    let mut item = String::new();
    let mut depth = 0;
    for word in text.split_whitespace() {
        if !item.is_empty() {
            item.push(' ');
        }
        item.push_str(word);
        depth += word.matches('{').count();
        depth -= word.matches('}').count().min(depth);
        if depth == 0 && (word.ends_with(';') || word.ends_with('}')) {
            let whole = std::mem::take(&mut item);
            items.insert(name(&whole), whole.trim_end_matches(';').replace(", }", " }"));
        }
    }
    items
}

/// `rank` of `rank: func(…)`, `level` of `enum level {…}`; the whole of a `use`.
fn name(item: &str) -> String {
    let mut words = item.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match first {
        "use" => item.to_owned(),
        "record" | "variant" | "enum" | "flags" | "type" | "resource" => second.to_owned(),
        function => function.trim_end_matches(':').to_owned(),
    }
}
