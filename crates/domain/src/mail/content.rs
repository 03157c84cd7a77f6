//! The content of a mail, and the two ways in which it is written down.
//!
//! The HTML sets no colours but says that it suits light and dark, so a mail program shows it in the
//! reader's own. It fetches nothing: no image, no font, no style sheet.

use std::borrow::Cow;

use crate::Secret;

/// A piece of a mail.
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A code to type, on a line of its own.
    Code(Secret<String>),
    /// A link to open, on a line of its own.
    Link {
        /// What opening it does.
        label: Cow<'static, str>,
        /// An absolute URL, made from `public_url`. It may hold a one-time secret.
        url: Secret<String>,
    },
}

impl Block {
    /// A paragraph.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A link with one of our own labels.
    pub(super) fn link(label: &'static str, url: &Secret<String>) -> Self {
        Self::Link { label: Cow::Borrowed(label), url: url.clone() }
    }
}

/// How wide the text part is, in characters.
const WIDTH: usize = 72;

/// Room for most texts: one that grows leaves copies behind, with the code in them.
const USUAL: usize = 1024;

/// The text part: paragraphs with an empty line between, codes and links unbroken.
pub fn to_text(content: &[Block]) -> Secret<String> {
    let mut text = String::with_capacity(USUAL);
    for block in content {
        if !text.is_empty() {
            text.push('\n');
        }
        match block {
            Block::Text(paragraph) => wrap(paragraph, &mut text),
            Block::Code(code) => text.extend(["    ", code.expose(), "\n"]),
            Block::Link { label, url } => text.extend([label, ":\n", url.expose(), "\n"]),
        }
    }
    Secret::new(text)
}

fn wrap(paragraph: &str, text: &mut String) {
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let width = word.chars().count();
        if column > 0 {
            let fits = column + 1 + width <= WIDTH;
            text.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}

/// The HTML part.
pub fn to_html(subject: &str, content: &[Block]) -> Secret<String> {
    let mut html = String::with_capacity(2 * USUAL);
    html.push_str(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"format-detection\" content=\"telephone=no\">\n<title>",
    );
    escape(subject, &mut html);
    html.push_str(
        "</title>\n</head>\n<body style=\"margin:0;padding:24px\">\n\
         <div style=\"max-width:34em;margin:0 auto;font-family:system-ui,sans-serif;font-size:16px;\
         line-height:1.5\">\n",
    );
    for block in content {
        match block {
            Block::Text(paragraph) => {
                html.push_str("<p style=\"margin:0 0 16px\">");
                escape(paragraph, &mut html);
            }
            Block::Code(code) => {
                html.push_str(
                    "<p style=\"margin:0 0 16px;font-family:ui-monospace,monospace;font-size:28px;\
                     letter-spacing:4px\">",
                );
                escape(code.expose(), &mut html);
            }
            Block::Link { label, url } => {
                html.push_str("<p style=\"margin:0 0 16px\"><a href=\"");
                escape(url.expose(), &mut html);
                html.push_str("\">");
                escape(label, &mut html);
                html.push_str("</a>");
            }
        }
        html.push_str("</p>\n");
    }
    html.push_str("</div>\n</body>\n</html>\n");
    Secret::new(html)
}

/// Writes text so that it is text, between tags and in a quoted attribute alike.
fn escape(text: &str, html: &mut String) {
    let mut rest = text;
    while let Some((at, entity)) = first_entity(rest) {
        let (before, special) = rest.split_at(at);
        html.push_str(before);
        html.push_str(entity);
        rest = special.split_at(1).1;
    }
    html.push_str(rest);
}

/// Where the first character stands that cannot be written as it is, and how it is written.
fn first_entity(text: &str) -> Option<(usize, &'static str)> {
    text.bytes().enumerate().find_map(|(at, byte)| {
        let entity = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => return None,
        };
        Some((at, entity))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_link_is_whole_in_the_text_and_an_anchor_in_the_html() {
        let url = format!("https://id.test/claim/{}?a=b&c=d", "x".repeat(100));
        let content = [Block::link("Show the credentials", &Secret::new(url.clone()))];
        assert_eq!(to_text(&content).expose(), &format!("Show the credentials:\n{url}\n"));
        let anchor = format!("<a href=\"{}\">Show the credentials</a>", url.replace('&', "&amp;"));
        assert!(to_html("s", &content).expose().contains(&anchor));
    }

    proptest! {
        #[test]
        fn wrapping_loses_no_word_and_no_line_is_long(words in "[a-zé]{1,20}( [a-zé]{1,20}){0,40}") {
            let text = to_text(&[Block::text(words.clone())]);
            prop_assert_eq!(text.expose().split_whitespace().collect::<Vec<_>>(), words.split(' ').collect::<Vec<_>>());
            prop_assert!(text.expose().lines().all(|line| line.chars().count() <= WIDTH));
        }

        #[test]
        fn no_text_opens_a_tag(text in "\\PC{0,100}") {
            let empty = to_html("", &[Block::text("")]);
            let full = to_html(&text, &[Block::text(text.clone()), ]);
            let tags = |html: &str| html.matches(['<', '>', '"']).count();
            prop_assert_eq!(tags(empty.expose()), tags(full.expose()));
        }
    }
}
