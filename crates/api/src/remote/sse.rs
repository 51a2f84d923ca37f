//! The grammar of Server-Sent Events, as far as the service speaks it.

/// One block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Where to go on after it.
    pub id: Option<String>,
    /// Its data, if it has any.
    pub data: Option<String>,
    /// How long to wait before coming back, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// Makes blocks of pieces that begin and end anywhere.
#[derive(Debug, Default)]
pub struct Blocks {
    rest: Vec<u8>,
    /// Up to here there is no end of a block in `rest`.
    looked_at: usize,
}

impl Blocks {
    /// Takes a piece in.
    pub fn push(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
    }

    /// The next whole block, if there is one.
    pub fn next_block(&mut self) -> Option<Block> {
        let start = self.looked_at.saturating_sub(1);
        let Some(end) = self.rest[start..].windows(2).position(|pair| pair == b"\n\n").map(|at| start + at) else {
            self.looked_at = self.rest.len();
            return None;
        };
        let block = read(&String::from_utf8_lossy(&self.rest[..end]));
        self.rest.drain(..end + 2);
        self.looked_at = 0;
        Some(block)
    }

    /// How many bytes wait for the end of their block.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.rest.len()
    }
}

fn read(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "id" => block.id = Some(value),
            "retry" => block.retry_ms = value.parse().ok(),
            "data" => block.data = Some(block.data.map_or(value.clone(), |before| format!("{before}\n{value}"))),
            _ => (), // Comments, the type, which is in the data, and what isn't known.
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_however_they_are_cut() {
        let stream =
            "retry: 2000\nid: 7\n\n: nothing\nid: 8\n\nid: 9\nevent: X\ndata: {\"ä\":1}\n\ndata:a\ndata: b\n\n";
        let block = |id: Option<&str>, data: Option<&str>, retry_ms| Block {
            id: id.map(str::to_owned),
            data: data.map(str::to_owned),
            retry_ms,
        };
        let expected = [
            block(Some("7"), None, Some(2_000)),
            block(Some("8"), None, None),
            block(Some("9"), Some("{\"ä\":1}"), None),
            block(None, Some("a\nb"), None),
        ];
        for size in 1..=stream.len() {
            let (mut blocks, mut found) = (Blocks::default(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                blocks.push(piece);
                found.extend(std::iter::from_fn(|| blocks.next_block()));
            }
            assert_eq!(found, expected, "in pieces of {size}");
            assert_eq!(blocks.waiting(), 0);
        }
    }
}
