//! The machine: a stack of values, marks on it, and a memo, as in CPython's `pickle`.

use super::numpy::{self, Symbol};
use super::{DEEPEST, Error, Node, Pickle};
use std::collections::HashMap;
use std::ops::Range;

type Step<T> = Result<T, Error>;

struct Machine<'a> {
    file: &'a [u8],
    /// The next byte.
    at: usize,
    /// Where the instruction under way began.
    op: usize,
    nodes: Vec<Node>,
    /// Where each value was made.
    offsets: Vec<usize>,
    stack: Vec<u32>,
    marks: Vec<usize>,
    memo: HashMap<u32, u32>,
    /// Texts that were decoded to bytes: each once, however often it is asked for.
    decoded: HashMap<u32, u32>,
}

/// Runs a file to its end.
pub(super) fn run(file: &[u8]) -> Step<Pickle<'_>> {
    let mut machine = Machine {
        file,
        at: 0,
        op: 0,
        nodes: Vec::new(),
        offsets: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        decoded: HashMap::new(),
    };
    machine.protocol()?;
    while !machine.step()? {}
    let root = machine.pop()?;
    machine.acyclic(root)?;
    Ok(Pickle { file, nodes: machine.nodes, root, budget: std::cell::Cell::new(file.len()) })
}

impl Machine<'_> {
    fn fault<T>(&self, problem: impl Into<String>) -> Step<T> {
        Err(Error { at: self.op, problem: problem.into() })
    }

    fn protocol(&mut self) -> Step<()> {
        match self.file {
            [0x80, 2..=5, ..] => self.at = 2,
            [0x80, version, ..] => return self.fault(format!("is of protocol {version}, 2 to 5 are read")),
            _ => return self.fault("does not begin as a pickle of protocol 2 to 5"),
        }
        Ok(())
    }

    /// The next `n` bytes.
    fn take(&mut self, n: usize) -> Step<Range<usize>> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.file.len());
        let Some(end) = end else {
            let left = self.file.len() - self.at;
            return self.fault(format!("is cut off: {n} bytes are announced, {left} are left"));
        };
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    /// A little-endian number of `n` bytes, at most 8.
    fn unsigned(&mut self, n: usize) -> Step<u64> {
        let range = self.take(n)?;
        Ok(self.file[range].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// As many bytes as a number of `n` bytes says.
    fn counted(&mut self, n: usize) -> Step<Range<usize>> {
        let count = self.unsigned(n)?;
        // More than fits in memory is more than the file has.
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// A line without its end.
    fn line(&mut self) -> Step<Range<usize>> {
        let Some(length) = self.file[self.at..].iter().position(|&byte| byte == b'\n') else {
            return self.fault("is cut off in a name");
        };
        let range = self.take(length)?;
        self.at += 1;
        Ok(range)
    }

    fn make(&mut self, node: Node) -> Step<u32> {
        let Ok(number) = u32::try_from(self.nodes.len()) else { return self.fault("holds too many values") };
        self.nodes.push(node);
        self.offsets.push(self.op);
        Ok(number)
    }

    fn push(&mut self, node: Node) -> Step<()> {
        let number = self.make(node)?;
        self.stack.push(number);
        Ok(())
    }

    /// The value on top, above the last mark.
    fn pop(&mut self) -> Step<u32> {
        if self.stack.len() > self.marks.last().copied().unwrap_or(0)
            && let Some(top) = self.stack.pop()
        {
            return Ok(top);
        }
        self.fault("takes a value from an empty stack")
    }

    fn top(&mut self) -> Step<u32> {
        let top = self.pop()?;
        self.stack.push(top);
        Ok(top)
    }

    /// The values above the last mark.
    fn marked(&mut self) -> Step<Vec<u32>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => self.fault("goes back to a mark that is not there"),
        }
    }

    fn text(&mut self, range: Range<usize>) -> Step<()> {
        if std::str::from_utf8(&self.file[range.clone()]).is_err() {
            return self.fault("holds a text that is not UTF-8");
        }
        self.push(Node::Text(range))
    }

    /// One instruction; whether it was the last.
    fn step(&mut self) -> Step<bool> {
        self.op = self.at;
        let range = self.take(1)?;
        match self.file[range.start] {
            b'.' => return Ok(true),
            0x95 => {
                // Frames are for readers that read ahead; what they hold follows.
                let announced = self.unsigned(8)?;
                let left = self.file.len() - self.at;
                if announced > left as u64 {
                    return self
                        .fault(format!("is cut off: a frame of {announced} bytes is announced, {left} are left"));
                }
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            code @ (b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | 0x8a | 0x8b | b'G') => self.atom(code)?,
            code @ (0x8c | b'X' | 0x8d | b'U' | b'T' | b'C' | b'B' | 0x8e | 0x96) => self.string(code)?,
            code @ (b']' | b'l' | b')' | b't' | 0x85..=0x87 | b'}' | b'd') => self.container(code)?,
            code @ (b'a' | b'e' | b's' | b'u') => self.fill(code)?,
            code @ (b'q' | b'r' | 0x94 | b'h' | b'j') => self.remember(code)?,
            code @ (b'c' | 0x93 | b'R' | b'b') => self.numpy(code)?,
            0x97 | 0x98 => return self.fault("keeps arrays outside of the file (buffer_callback); pickle without it"),
            b'P' | b'Q' => return self.fault("refers to an object outside of the file (persistent_id)"),
            0x81 | 0x92 | b'o' | b'i' | 0x82..=0x84 => {
                return self.fault("makes an object of a class; only data is read");
            }
            0x8f..=0x91 => return self.fault("holds a set; lists, tuples and dictionaries are read"),
            code => return self.fault(format!("has the instruction {code:#04x}, which is not one of protocol 2 to 5")),
        }
        Ok(false)
    }

    fn atom(&mut self, code: u8) -> Step<()> {
        let node = match code {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'K' => Node::Int(self.unsigned(1)? as i64),
            b'M' => Node::Int(self.unsigned(2)? as i64),
            b'J' => Node::Int(i64::from(self.unsigned(4)? as u32 as i32)),
            b'G' => Node::Float(f64::from_bits((self.unsigned(8)?).swap_bytes())),
            _ => {
                let range = self.counted(if code == 0x8a { 1 } else { 4 })?;
                let Some(value) = numpy::signed(&self.file[range]) else {
                    return self.fault("holds a whole number of more than 64 bits");
                };
                Node::Int(value)
            }
        };
        self.push(node)
    }

    fn string(&mut self, code: u8) -> Step<()> {
        let size = match code {
            0x8c | b'U' | b'C' => 1,
            b'X' | b'T' | b'B' => 4,
            _ => 8,
        };
        let range = self.counted(size)?;
        match code {
            0x8c | b'X' | 0x8d => self.text(range),
            _ => self.push(Node::Bytes(range)),
        }
    }

    fn container(&mut self, code: u8) -> Step<()> {
        let node = match code {
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            b'l' => Node::List(self.marked()?),
            b't' => Node::Tuple(self.marked()?),
            b'd' => {
                let items = self.marked()?;
                Node::Dict(self.paired(&items)?)
            }
            code => {
                let mut items = Vec::new();
                for _ in 0..code - 0x84 {
                    items.push(self.pop()?);
                }
                items.reverse();
                Node::Tuple(items)
            }
        };
        self.push(node)
    }

    fn paired(&self, items: &[u32]) -> Step<Vec<(u32, u32)>> {
        if items.len() % 2 == 1 {
            return self.fault("has a key without a value");
        }
        Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
    }

    /// Puts values into the list or dictionary below them.
    fn fill(&mut self, code: u8) -> Step<()> {
        let items = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.marked()?,
        };
        let into = self.top()? as usize;
        let pairs = if matches!(code, b's' | b'u') { Some(self.paired(&items)?) } else { None };
        match (&mut self.nodes[into], pairs) {
            (Node::List(list), None) => list.extend(items),
            (Node::Dict(dict), Some(pairs)) => dict.extend(pairs),
            _ => return self.fault("puts values into what is no list or dictionary"),
        }
        Ok(())
    }

    fn remember(&mut self, code: u8) -> Step<()> {
        let place = match code {
            0x94 => self.memo.len() as u32,
            b'q' | b'h' => self.unsigned(1)? as u32,
            _ => self.unsigned(4)? as u32,
        };
        if matches!(code, b'h' | b'j') {
            let Some(&value) = self.memo.get(&place) else {
                return self.fault(format!("refers to value {place}, which was not kept"));
            };
            self.stack.push(value);
        } else {
            let top = self.top()?;
            self.memo.insert(place, top);
        }
        Ok(())
    }

    /// Names, calls and states: only those of NumPy's arrays.
    fn numpy(&mut self, code: u8) -> Step<()> {
        match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.symbol(module, name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module as usize], &self.nodes[name as usize]) {
                    (Node::Text(module), Node::Text(name)) => self.symbol(module.clone(), name.clone()),
                    _ => self.fault("names a global by what is no text"),
                }
            }
            b'R' => {
                let (arguments, what) = (self.pop()?, self.pop()?);
                self.call(what, arguments)
            }
            _ => {
                let (state, of) = (self.pop()?, self.top()?);
                match numpy::state(&self.nodes, self.file, of, state) {
                    Ok(node) => self.nodes[of as usize] = node,
                    Err(problem) => return self.fault(problem),
                }
                Ok(())
            }
        }
    }

    fn symbol(&mut self, module: Range<usize>, name: Range<usize>) -> Step<()> {
        let text = |range: Range<usize>| String::from_utf8_lossy(&self.file[range]).into_owned();
        let (module, name) = (text(module), text(name));
        match Symbol::named(&module, &name) {
            Some(symbol) => self.push(Node::Symbol(symbol)),
            None => {
                let full = crate::data::shown(&format!("{module}.{name}"));
                self.fault(format!("refers to {full}; only data and NumPy arrays are read"))
            }
        }
    }

    fn call(&mut self, what: u32, arguments: u32) -> Step<()> {
        let (Node::Symbol(symbol), Node::Tuple(arguments)) =
            (&self.nodes[what as usize], &self.nodes[arguments as usize])
        else {
            return self.fault("calls what cannot be called");
        };
        if let (Symbol::Encode, [text, codec]) = (symbol, arguments.as_slice()) {
            return self.decode(*text, *codec);
        }
        match numpy::call(&self.nodes, self.file, *symbol, arguments) {
            Ok(node) => self.push(node),
            Err(problem) => self.fault(problem),
        }
    }

    /// `_codecs.encode(text, "latin1")`: bytes as protocol 2 writes them.
    fn decode(&mut self, text: u32, codec: u32) -> Step<()> {
        let latin1 = match &self.nodes[codec as usize] {
            Node::Text(range) => matches!(&self.file[range.clone()], b"latin1" | b"latin-1" | b"iso-8859-1"),
            _ => false,
        };
        if let Some(&known) = self.decoded.get(&text).filter(|_| latin1) {
            self.stack.push(known);
            return Ok(());
        }
        let bytes: Option<Vec<u8>> = match &self.nodes[text as usize] {
            Node::Text(range) if latin1 => String::from_utf8_lossy(&self.file[range.clone()])
                .chars()
                .map(|c| u8::try_from(u32::from(c)).ok())
                .collect(),
            _ => None,
        };
        let Some(bytes) = bytes else { return self.fault("encodes a text in another way than Latin-1") };
        self.push(Node::Decoded(bytes))?;
        let made = self.top()?;
        self.decoded.insert(text, made);
        Ok(())
    }

    /// Refuses values that hold themselves or are nested too deep; without recursion.
    fn acyclic(&self, root: u32) -> Step<()> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Not,
            Open,
            Done,
        }
        let mut seen = vec![Seen::Not; self.nodes.len()];
        let mut open: Vec<(u32, usize)> = vec![(root, 0)];
        let fault = |node: u32, problem: String| Err(Error { at: self.offsets[node as usize], problem });
        while let Some((node, next)) = open.pop() {
            let Some(child) = self.child(node, next) else {
                seen[node as usize] = Seen::Done;
                continue;
            };
            seen[node as usize] = Seen::Open;
            open.push((node, next + 1));
            match seen[child as usize] {
                Seen::Open => return fault(child, "makes a value that holds itself".to_string()),
                Seen::Not if open.len() > DEEPEST => {
                    return fault(child, format!("nests values deeper than {DEEPEST} levels"));
                }
                Seen::Not => open.push((child, 0)),
                Seen::Done => {}
            }
        }
        Ok(())
    }

    /// The i-th value that a value holds.
    fn child(&self, node: u32, i: usize) -> Option<u32> {
        match &self.nodes[node as usize] {
            Node::List(items) | Node::Tuple(items) => items.get(i).copied(),
            Node::Dict(pairs) => pairs.get(i / 2).map(|&(key, value)| if i.is_multiple_of(2) { key } else { value }),
            _ => None,
        }
    }
}
