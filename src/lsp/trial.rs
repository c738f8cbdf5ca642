//! An editor without a screen, for tests and fuzzers.

use super::*;

/// An open document, and the server that it talks to.
pub struct Editor {
    server: Server,
    /// the server's other end
    end: Connection,
    uri: Uri,
    /// questions so far
    asked: i32,
}

impl Default for Editor {
    fn default() -> Editor {
        let (connection, end) = Connection::memory();
        let target = Rc::new(HostTarget::new());
        let completer = Completer::new(Rc::clone(&target));
        let server = Server { connection, target, completer, documents: HashMap::new(), bytes: false };
        let uri = "file:///tmp/strange.bt".parse().expect("an address");
        Editor { server, end, uri, asked: 0 }
    }
}

impl Editor {
    /// What an editor asks while somebody types that text, with the cursor at a byte, is answered; a panic where it isn't.
    pub fn types(&mut self, text: &str, cursor: usize) {
        self.server.bytes = !self.server.bytes;
        self.server.changed(self.uri.clone(), text.to_owned());
        let before = &text[..text.floor_char_boundary(cursor.min(text.len()))];
        let (line, column) = (before.matches('\n').count(), before.rsplit('\n').next().unwrap_or("").len());
        let place = serde_json::json!({ "textDocument": { "uri": &self.uri }, "position": { "line": line, "character": column } });
        for method in [Completion::METHOD, HoverRequest::METHOD, GotoDefinition::METHOD, Formatting::METHOD] {
            self.asked = self.asked.wrapping_add(1);
            let answer = self.server.answer(Request::new(self.asked.into(), method.into(), place.clone()));
            assert!(answer.response_result.is_ok(), "{method} in {text:?}");
        }
        let Ok(Message::Notification(_)) = self.end.receiver.try_recv() else { panic!("no diagnostics of {text:?}") };
    }
}
