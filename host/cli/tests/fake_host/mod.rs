//! A host that says what a test wants it to.

use crate::site::{Ended, pointsman};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// Answers these, one after the other, and tells what it was asked.
pub struct Host {
    address: String,
    asked: JoinHandle<Vec<String>>,
}

impl Host {
    pub fn that_answers(answers: Vec<(u16, Value)>) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serve = move || {
            let answer = |(status, body): &(u16, Value)| {
                let (stream, _) = listener.accept().unwrap();
                answer(stream, *status, &body.to_string())
            };
            answers.iter().map(answer).collect()
        };
        Host { address, asked: thread::spawn(serve) }
    }

    /// What it prints, and what was asked.
    pub fn run(self, args: &[&str]) -> (Ended, Vec<String>) {
        let ended = pointsman(&[&["--host", &self.address], args].concat());
        (ended, self.asked.join().unwrap())
    }
}

/// Reads one request whole; answers its line and body.
fn answer(stream: TcpStream, status: u16, body: &str) -> String {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut sent = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut sent).unwrap();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    reader.into_inner().write_all(format!("{head}{body}").as_bytes()).unwrap();
    format!("{} {}", lines[0], String::from_utf8(sent).unwrap()).trim_end().to_owned()
}
