// SPDX-License-Identifier: Apache-2.0
// A TOML document (toml.io, v1.0) as a flat list of values, each with its place: toml++ behind C, as no exception of
// C++ may reach Swift.

#ifndef FDWATCH_CTOML_H
#define FDWATCH_CTOML_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    fdwatch_toml_string,
    fdwatch_toml_integer,
    fdwatch_toml_float,
    fdwatch_toml_boolean,
    fdwatch_toml_date, // a date, a time, or both
    fdwatch_toml_array,
    fdwatch_toml_table,
} fdwatch_toml_type;

/// A line and a column, both from 1; columns count characters.
typedef struct {
    uint32_t line;
    uint32_t column;
} fdwatch_toml_place;

/// One value. Its strings live as long as the document.
typedef struct {
    fdwatch_toml_type type;
    /// How many of the values that follow at once stand in this one, whatever their depth.
    size_t within;
    /// The key in a table; empty in an array.
    const char *key;
    size_t key_length;
    fdwatch_toml_place key_place;
    fdwatch_toml_place place;
    /// Of a string its contents.
    const char *text;
    size_t text_length;
    /// Of an integer; of a boolean 0 or 1.
    int64_t integer;
    double number;
} fdwatch_toml_value;

typedef struct fdwatch_toml fdwatch_toml;

/// What is taken in: more is an error.
enum { fdwatch_toml_max_bytes = 1 << 20, fdwatch_toml_max_depth = 32 };

/// Reads a document. NULL where there is no memory for it; else it has values or an error.
fdwatch_toml *fdwatch_toml_parse(const char *text, size_t length);
void fdwatch_toml_free(fdwatch_toml *document);

/// Why it could not be read, and where; NULL if it could.
const char *fdwatch_toml_error(const fdwatch_toml *document, fdwatch_toml_place *place);

/// The values in front of what stands in them: the first is the document's own table.
size_t fdwatch_toml_count(const fdwatch_toml *document);
const fdwatch_toml_value *fdwatch_toml_values(const fdwatch_toml *document);

#ifdef __cplusplus
}
#endif

#endif
