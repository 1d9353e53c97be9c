//! Amounts of cpu, devices and memory as people write them, in exact integers. One reader for what
//! tasks ask for and what workers offer.

use crate::decimal::{BadDecimal, Decimal, Product, format_thousandths};
use crate::field::{Flaw, quote};

/// Cores of one task or worker at most.
pub const CPU_MAX: u64 = 1_000_000;

/// Bytes of one task or worker at most: 1 PiB.
pub const MEMORY_MAX: u64 = 1 << 50;

/// Devices of one task or worker at most.
pub const GPU_MAX: u16 = 1024;

const CPU_REMEDY: &str = "write a number of cores in steps of 0.001, like 0.5 or 4";
const GPU_REMEDY: &str =
    "write a whole number of devices like 2, or a share of one device below 1 like 0.25";
const MEMORY_REMEDY: &str =
    "write it like \"8GB\" (10^9 bytes), \"8GiB\" (2^30), or as whole bytes";

/// Thousandths of a core, from the text of a JSON number of cores.
///
/// # Errors
/// If it is negative, more than [`CPU_MAX`] or finer than 0.001.
pub fn parse_cpu(number: &str) -> Result<u64, Flaw> {
    let flaw = |why: &str| Flaw::new(format!("{} {why}", shown(number)), CPU_REMEDY);
    match Decimal::parse(number).map_err(|bad| flaw(bad.why()))?.times(1000) {
        Product::Whole(milli) if milli <= CPU_MAX * 1000 => Ok(milli),
        Product::Whole(_) | Product::TooLarge => Err(too_large(number, "1000000 cores")),
        Product::Between { .. } => Err(flaw("is finer than 0.001 cores")),
        Product::Negative => Err(flaw("is negative")),
    }
}

/// Thousandths of a device, from the text of a JSON number of devices.
///
/// # Errors
/// If it is negative, more than [`GPU_MAX`], finer than 0.001, or above 1 and not whole.
pub fn parse_gpu(number: &str) -> Result<u32, Flaw> {
    let flaw = |why: &str| Flaw::new(format!("{} {why}", shown(number)), GPU_REMEDY);
    match Decimal::parse(number).map_err(|bad| flaw(bad.why()))?.times(1000) {
        Product::Whole(milli) if milli > u64::from(GPU_MAX) * 1000 => {
            Err(too_large(number, "1024 devices"))
        }
        Product::Whole(milli) if milli > 1000 && milli % 1000 != 0 => {
            Err(flaw("is neither whole nor a share of one device"))
        }
        Product::Whole(milli) => Ok(milli as u32),
        Product::TooLarge => Err(too_large(number, "1024 devices")),
        Product::Between { .. } => Err(flaw("is finer than 0.001 devices")),
        Product::Negative => Err(flaw("is negative")),
    }
}

/// Bytes, from a text like `8GB`, `8 GiB`, `8.5G` or `512` (bytes). Units ignore case; `K M G T P E`
/// with or without `B` are powers of 1000, `Ki Mi …` powers of 1024. A fraction of a byte counts
/// as a whole one.
///
/// # Errors
/// If it is anything else, negative, or more than [`MEMORY_MAX`].
pub fn parse_memory(text: &str) -> Result<u64, Flaw> {
    let flaw = |why: &str| Flaw::new(format!("{} {why}", quote(text)), MEMORY_REMEDY);
    let start_of_unit = text.find(|it: char| it.is_ascii_alphabetic() || it == ' ');
    let (number, unit) = text.split_at(start_of_unit.unwrap_or(text.len()));
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if unit.is_empty() && text.ends_with(' ') {
        return Err(flaw("is not an amount of memory"));
    }
    let factor = unit_factor(unit).ok_or_else(|| flaw("is not an amount of memory"))?;
    match Decimal::parse(number).map_err(|bad| flaw(bad.why_memory()))?.times(factor) {
        Product::Whole(bytes) | Product::Between { ceiling: bytes } if bytes <= MEMORY_MAX => {
            Ok(bytes)
        }
        Product::Whole(_) | Product::Between { .. } | Product::TooLarge => {
            Err(too_large(text, "1PiB"))
        }
        Product::Negative => Err(flaw("is negative")),
    }
}

/// Bytes, from the text of a JSON number of bytes.
///
/// # Errors
/// If it is negative, not whole, or more than [`MEMORY_MAX`].
pub fn parse_memory_bytes(number: &str) -> Result<u64, Flaw> {
    let flaw = |why: &str| Flaw::new(format!("{} {why}", shown(number)), MEMORY_REMEDY);
    match Decimal::parse(number).map_err(|bad| flaw(bad.why()))?.times(1) {
        Product::Whole(bytes) if bytes <= MEMORY_MAX => Ok(bytes),
        Product::Whole(_) | Product::TooLarge => Err(too_large(number, "1PiB")),
        Product::Between { .. } => Err(flaw("is not a whole number of bytes")),
        Product::Negative => Err(flaw("is negative")),
    }
}

/// The shortest text that [`parse_memory`] reads as exactly this many bytes, preferring `8GB` to
/// `8000MB` and, where no power of 1000 fits, `8GiB`.
pub fn format_memory(bytes: u64) -> String {
    let scaled = |units: [(&str, u64); 5]| {
        let fits = |(_, factor): &(&str, u64)| {
            bytes >= *factor && (u128::from(bytes) * 1000).is_multiple_of(u128::from(*factor))
        };
        units.into_iter().find(fits).map(|(unit, factor)| {
            let thousandths = u128::from(bytes) * 1000 / u128::from(factor);
            let thousandths = u64::try_from(thousandths).expect("the factor is at least 1000");
            format!("{}{unit}", format_thousandths(thousandths))
        })
    };
    let decimal = scaled(DECIMAL_UNITS);
    let binary = scaled(BINARY_UNITS);
    let shorter = match (decimal, binary) {
        (Some(decimal), Some(binary)) if binary.len() < decimal.len() => binary,
        (Some(decimal), _) => decimal,
        (None, Some(binary)) => binary,
        (None, None) => return format!("{bytes}B"),
    };
    if bytes.to_string().len() < shorter.len() { format!("{bytes}B") } else { shorter }
}

/// Cores, like `0.5`, from thousandths.
pub fn format_cpu(cpu_milli: u64) -> String {
    format_thousandths(cpu_milli)
}

/// Devices, like `0.25`, from thousandths.
pub fn format_gpu(gpu_milli: u32) -> String {
    format_thousandths(u64::from(gpu_milli))
}

const DECIMAL_UNITS: [(&str, u64); 5] = [
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
];

const BINARY_UNITS: [(&str, u64); 5] =
    [("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

fn unit_factor(unit: &str) -> Option<u64> {
    let lower = unit.to_ascii_lowercase();
    let prefix = lower.strip_suffix('b').unwrap_or(&lower);
    let (letter, base): (&str, u64) = match prefix.strip_suffix('i') {
        Some(letter) => (letter, 1024),
        None => (prefix, 1000),
    };
    let power = match letter {
        "" if base == 1000 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    Some(base.pow(power))
}

fn too_large(written: &str, limit: &str) -> Flaw {
    Flaw::new(format!("{} is too large", shown(written)), format!("give at most {limit}"))
}

/// A number in an error: as it is, shortened when it is long.
fn shown(number: &str) -> String {
    if number.len() <= 40 { number.to_owned() } else { quote(number) }
}

impl BadDecimal {
    fn why(self) -> &'static str {
        match self {
            BadDecimal::NotANumber => "is not a number",
            BadDecimal::TooManyDigits => "has too many digits",
        }
    }

    fn why_memory(self) -> &'static str {
        match self {
            BadDecimal::NotANumber => "is not an amount of memory",
            BadDecimal::TooManyDigits => "has too many digits",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<T: std::fmt::Debug + PartialEq>(
        read: fn(&str) -> Result<T, Flaw>,
        text: &str,
        expect: Result<T, &str>,
    ) {
        match (read(text), expect) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected, "{text:?}"),
            (Err(flaw), Err(expected)) => {
                assert!(flaw.problem.contains(expected), "{text:?}: {}", flaw.problem);
            }
            (got, expected) => panic!("{text:?}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn memory_is_never_read_with_another_unit_than_written() {
        let check = |text, expect| check(parse_memory, text, expect);
        check("8GB", Ok(8_000_000_000));
        check("8gb", Ok(8_000_000_000));
        check("8 GB", Ok(8_000_000_000));
        check("8G", Ok(8_000_000_000));
        check("8GiB", Ok(8 << 30));
        check("8192MiB", Ok(8 << 30));
        check("8Gi", Ok(8 << 30));
        check("8192MB", Ok(8_192_000_000));
        check("8.5GB", Ok(8_500_000_000));
        check("0.1GiB", Ok(107_374_183));
        check("100B", Ok(100));
        check("100", Ok(100));
        check("1PiB", Ok(MEMORY_MAX));
        check("0", Ok(0));
        check("1.1PiB", Err("too large"));
        check("99999999999EB", Err("too large"));
        check("-8GB", Err("negative"));
        for text in [
            "8GBs",
            "GB",
            "",
            " ",
            "8,5GB",
            "\u{ff18}GB",
            "8  GB",
            " 8GB",
            "8GB ",
            "8 ",
            "8iB",
            "8 i",
            "NaN",
        ] {
            check(text, Err("not an amount of memory"));
        }
        check("1e3MB", Err("not an amount of memory"));
        check("0x8GB", Err("not an amount of memory"));
    }

    #[test]
    fn cpu_is_never_rounded() {
        let check = |text, expect| check(parse_cpu, text, expect);
        check("0.1", Ok(100));
        check("4", Ok(4000));
        check("4.0", Ok(4000));
        check("0.001", Ok(1));
        check("0.1111", Err("finer than 0.001"));
        check("-1", Err("negative"));
        check("-0.5", Err("negative"));
        check("1e308", Err("too large"));
        check("1000000.001", Err("too large"));
        check("NaN", Err("not a number"));
    }

    #[test]
    fn a_device_is_never_split_between_machines() {
        let check = |text, expect| check(parse_gpu, text, expect);
        check("0", Ok(0));
        check("0.25", Ok(250));
        check("1", Ok(1000));
        check("2.0", Ok(2000));
        check("1.5", Err("neither whole nor a share"));
        check("-1", Err("negative"));
        check("1025", Err("too large"));
        check("1e30", Err("too large"));
    }

    #[test]
    fn memory_is_shown_short() {
        let check = |bytes, expect: &str| assert_eq!(format_memory(bytes), expect);
        check(8_000_000_000, "8GB");
        check(8 << 30, "8GiB");
        check(8_500_000_000, "8.5GB");
        check(100_000_000, "100MB");
        check(0, "0B");
        check(1023, "1023B");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same_amount(
            bytes in 0..=MEMORY_MAX, shift in 0u32..50, milli in 0..=CPU_MAX * 1000,
        ) {
            for bytes in [bytes, bytes >> shift, (bytes >> shift) << shift, bytes / 1000 * 1000] {
                prop_assert_eq!(parse_memory(&format_memory(bytes)).unwrap(), bytes);
            }
            prop_assert_eq!(parse_cpu(&format_cpu(milli)).unwrap(), milli);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", near in "-?[0-9]{0,30}\\.?[0-9]{0,30}[eE]?[a-zA-Z ]{0,4}") {
            for text in [text, near] {
                let _ = parse_memory(&text);
                let _ = parse_memory_bytes(&text);
                let _ = parse_cpu(&text);
                let _ = parse_gpu(&text);
            }
        }
    }
}
