//! As much of an HTTP client as the traffic needs: one connection, kept open, one request at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Result;

/// A server that says nothing for so long does not answer any more.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(connection)
}

pub(crate) struct Client<'c> {
    connection: &'c TcpStream,
    answers: BufReader<&'c TcpStream>,
}

impl<'c> Client<'c> {
    pub(crate) fn new(connection: &'c TcpStream) -> Client<'c> {
        Client { connection, answers: BufReader::new(connection) }
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<(u16, String)> {
        self.request("GET", path, "")
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Result<(u16, String)> {
        self.request("POST", path, body)
    }

    fn request(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: orders\r\nContent-Length: {length}\r\n\r\n{body}");
        self.connection.write_all(request.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<(u16, String)> {
        let status = self.line()?.split(' ').nth(1).ok_or("an answer without a status")?.parse()?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?
                }
                Some(_) => {}
                None if line.is_empty() => break,
                None => return Err(format!("not a header: {line:?}").into()),
            }
        }
        let mut body = vec![0; length];
        self.answers.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body)?))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the server closed the connection".into());
        }
        Ok(line.trim_end().to_owned())
    }
}
