// SPDX-License-Identifier: Apache-2.0
#include "ctoml.h"

#include <new>
#include <stdexcept>
#include <string>
#include <vector>

// What the parser takes for impossible is an error like any other, and no reason to abort.
static void expect(bool holds) {
    if (!holds) throw std::logic_error("the parser is confused");
}

#define TOML_EXCEPTIONS 1
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 32
#define TOML_ASSERT(condition) expect(static_cast<bool>(condition))
#include <toml++/toml.h>

struct fdwatch_toml {
    toml::table root;
    std::vector<fdwatch_toml_value> values;
    std::string error;
    fdwatch_toml_place place{0, 0};
};

namespace {

fdwatch_toml_place place(const toml::source_region &region) { return {region.begin.line, region.begin.column}; }

struct misplaced {
    fdwatch_toml_place place;
    const char *what;
};

/// Looks for keys of too many parts before they become as many tables, each within the last: toml++ bounds the depth
/// of values, but not that of keys, and tables are freed one within the other.
///
/// Keys cannot be told from values here, but no value has as many points outside of strings. Where this loses its way,
/// the parser has come to an error already.
class depth_check {
    const char *at;
    const char *const end;
    fdwatch_toml_place here{1, 1};

    void step() {
        if (*at == '\n') {
            here = {here.line + 1, 1};
        } else if ((*at & 0xc0) != 0x80) {
            here.column += 1;
        }
        at += 1;
    }
    bool is(const char *text, size_t length) const {
        return size_t(end - at) >= length && std::char_traits<char>::compare(at, text, length) == 0;
    }
    void skip_string(char quote) {
        const char three[] = {quote, quote, quote};
        const bool many = is(three, 3);
        for (int count = many ? 3 : 1; count > 0; --count) step();
        while (at < end) {
            if (many ? is(three, 3) : *at == quote) {
                for (int count = many ? 3 : 1; count > 0; --count) step();
                return;
            }
            if (!many && *at == '\n') return;
            if (quote == '"' && *at == '\\' && at + 1 < end) step();
            step();
        }
    }

  public:
    depth_check(const char *text, size_t length) : at(text), end(text + length) {}

    void run() {
        int points = 0;
        while (at < end) {
            switch (*at) {
            case '"':
            case '\'': skip_string(*at); continue;
            case '#':
                while (at < end && *at != '\n') step();
                continue;
            case '.':
                if (++points >= fdwatch_toml_max_depth) throw misplaced{here, "the key has more than 32 parts; expected fewer"};
                break;
            case '\n':
            case '=':
            case '[':
            case '{':
            case ',': points = 0; break;
            default: break;
            }
            step();
        }
    }
};

/// Appends a value and what stands in it. The depth is bounded by that of what was parsed.
void append(std::vector<fdwatch_toml_value> &values, const toml::key *key, const toml::node &node) {
    const size_t index = values.size();
    fdwatch_toml_value value{};
    value.place = place(node.source());
    if (key) {
        value.key = key->data();
        value.key_length = key->length();
        value.key_place = place(key->source());
    } else {
        value.key = "";
        value.key_place = value.place;
    }
    switch (node.type()) {
    case toml::node_type::string:
        value.type = fdwatch_toml_string;
        value.text = node.as_string()->get().data();
        value.text_length = node.as_string()->get().length();
        break;
    case toml::node_type::integer:
        value.type = fdwatch_toml_integer;
        value.integer = node.as_integer()->get();
        value.number = double(value.integer);
        break;
    case toml::node_type::floating_point:
        value.type = fdwatch_toml_float;
        value.number = node.as_floating_point()->get();
        break;
    case toml::node_type::boolean:
        value.type = fdwatch_toml_boolean;
        value.integer = node.as_boolean()->get();
        break;
    case toml::node_type::array: value.type = fdwatch_toml_array; break;
    case toml::node_type::table: value.type = fdwatch_toml_table; break;
    default: value.type = fdwatch_toml_date; break;
    }
    values.push_back(value);
    if (const auto *table = node.as_table()) {
        for (auto it = table->cbegin(); it != table->cend(); ++it) append(values, &it->first, it->second);
    } else if (const auto *array = node.as_array()) {
        for (const auto &element : *array) append(values, nullptr, element);
    }
    values[index].within = values.size() - index - 1;
}

void read(fdwatch_toml &document, const char *text, size_t length) {
    if (length > fdwatch_toml_max_bytes) throw misplaced{{0, 0}, "the file has more than 1 MiB; expected less"};
    depth_check(text, length).run();
    document.root = toml::parse(std::string_view(text, length));
    append(document.values, nullptr, document.root);
}

} // namespace

fdwatch_toml *fdwatch_toml_parse(const char *text, size_t length) {
    fdwatch_toml *document = nullptr;
    try {
        document = new fdwatch_toml;
        try {
            read(*document, text, length);
        } catch (const toml::parse_error &error) {
            document->error = error.description();
            document->place = place(error.source());
        } catch (const misplaced &error) {
            document->error = error.what;
            document->place = error.place;
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &error) {
            document->error = error.what();
        }
        return document;
    } catch (...) {
        delete document;
        return nullptr;
    }
}

void fdwatch_toml_free(fdwatch_toml *document) { delete document; }

const char *fdwatch_toml_error(const fdwatch_toml *document, fdwatch_toml_place *place) {
    if (document->error.empty()) return nullptr;
    *place = document->place;
    return document->error.c_str();
}

size_t fdwatch_toml_count(const fdwatch_toml *document) { return document->values.size(); }
const fdwatch_toml_value *fdwatch_toml_values(const fdwatch_toml *document) { return document->values.data(); }
