//! Selectors over index bytes ("name\0value\0…"): "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2".

use crate::plugin::{invalid, Result};

enum Test {
    Among(Vec<String>),
    NotAmong(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

/// The empty selector matches everything.
pub struct Selector(Vec<(String, Test)>);

impl Selector {
    pub fn parse(bytes: &[u8]) -> Result<Selector> {
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("the selector is not text"))?;
        let mut parser = Parser { rest: text.trim() };
        let mut requirements = Vec::new();
        while !parser.rest.is_empty() {
            requirements.push(parser.requirement().ok_or_else(|| malformed(text))?);
            if !parser.rest.is_empty() && (!parser.take(",") || parser.rest.is_empty()) {
                return Err(malformed(text));
            }
        }
        Ok(Selector(requirements))
    }

    pub fn matches(&self, index: &[u8]) -> bool {
        self.0.iter().all(|(name, test)| {
            let value = value_of(index, name.as_bytes());
            let number = || value.and_then(|value| std::str::from_utf8(value).ok()?.parse::<i64>().ok());
            match test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::Among(values) => value.map_or(false, |value| values.iter().any(|it| it.as_bytes() == value)),
                Test::NotAmong(values) => value.map_or(true, |value| !values.iter().any(|it| it.as_bytes() == value)),
                Test::Above(bound) => number().map_or(false, |number| number > *bound),
                Test::Below(bound) => number().map_or(false, |number| number < *bound),
            }
        })
    }
}

fn malformed(text: &str) -> crate::plugin::Failure {
    invalid(format!("\"{}\" is no selector", text))
}

fn value_of<'a>(index: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut parts = index.split(|byte| *byte == 0);
    while let (Some(found), Some(value)) = (parts.next(), parts.next()) {
        if found == name {
            return Some(value);
        }
    }
    None
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn take(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| c <= ' ' || ",()=!<>\u{7f}".contains(c)).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.rest = self.rest[end..].trim_start();
        word
    }

    fn requirement(&mut self) -> Option<(String, Test)> {
        let is_absent = self.take("!");
        let name = Some(self.word()).filter(|name| !name.is_empty())?.to_string();
        if is_absent {
            return Some((name, Test::Absent));
        }
        let test = if self.rest.is_empty() || self.rest.starts_with(',') {
            Test::Exists
        } else if self.take("!=") {
            Test::NotAmong(vec![self.word().to_string()])
        } else if self.take("==") || self.take("=") {
            Test::Among(vec![self.word().to_string()])
        } else if self.take(">") {
            Test::Above(self.word().parse().ok()?)
        } else if self.take("<") {
            Test::Below(self.word().parse().ok()?)
        } else {
            match self.word() {
                "in" => Test::Among(self.list()?),
                "notin" => Test::NotAmong(self.list()?),
                _ => return None,
            }
        };
        Some((name, test))
    }

    fn list(&mut self) -> Option<Vec<String>> {
        let mut values = Vec::new();
        if !self.take("(") {
            return None;
        }
        loop {
            values.push(self.word().to_string());
            if self.take(")") {
                return Some(values);
            }
            if !self.take(",") {
                return None;
            }
        }
    }
}
