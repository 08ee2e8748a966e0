// Checks payloads against the published contract; knows nothing of energy, needs nothing but Node.
// The contract is the file that `voltagora protocols --asyncapi` writes.

import { readFileSync } from "node:fs";

const MOST_BYTES = 256 * 1024;
const MOST_DEPTH = 16;

// A payload is not of the contract; the message is the path of the field, empty for all of it.
export class Wrong extends Error {}

export class Contract {
  constructor(file) {
    this.schemas = JSON.parse(readFileSync(file, "utf8")).components.schemas;
  }

  // Gives a payload as an object; throws Wrong, and SyntaxError if it is no JSON object at all.
  read(payload, message) {
    const value = parsed(payload);
    this.check(value, this.schemas[message], "");
    return value;
  }

  // Throws Wrong with the path of the first field that breaks a schema.
  check(value, schema, path) {
    if (schema.$ref) this.check(value, this.schemas[schema.$ref.split("/").pop()], path);
    const kind = typeOf(value);
    const wanted = schema.type;
    const fits = !wanted || kind === wanted || (wanted === "number" && kind === "integer");
    const among = (!schema.enum || schema.enum.includes(value)) && (!("const" in schema) || schema.const === value);
    if (!fits || !among) throw new Wrong(path);
    if (kind === "object") this.checkFields(value, schema, path);
    if (kind === "array") {
      if (value.length < (schema.minItems ?? 0) || value.length > (schema.maxItems ?? Infinity)) throw new Wrong(path);
      value.forEach((item, place) => this.check(item, schema.items ?? {}, `${path}[${place}]`));
    }
    if (kind === "string") checkText(value, schema, path);
    if (kind === "integer" || kind === "number") checkNumber(value, schema, path);
    for (const rule of schema.allOf ?? []) this.check(value, rule, path);
    if (schema.anyOf && !schema.anyOf.some((rule) => this.holds(value, rule, path))) throw new Wrong(path);
    if (schema.if && this.holds(value, schema.if, path)) this.check(value, schema.then, path);
  }

  checkFields(value, schema, path) {
    const at = (name) => (path ? `${path}.${name}` : name);
    for (const name of schema.required ?? []) {
      if (!Object.hasOwn(value, name)) throw new Wrong(at(name));
    }
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      if (Object.hasOwn(value, name)) this.check(value[name], field, at(name));
    }
  }

  holds(value, schema, path) {
    try {
      this.check(value, schema, path);
    } catch (error) {
      if (error instanceof Wrong) return false;
      throw error;
    }
    return true;
  }
}

export function parsed(payload) {
  if (payload.length > MOST_BYTES) throw new SyntaxError("too large");
  const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  if (typeOf(value) !== "object") throw new SyntaxError("no object");
  if (isDeeper(value, MOST_DEPTH)) throw new SyntaxError("too deep");
  return value;
}

function isDeeper(value, most) {
  if (value === null || typeof value !== "object") return false;
  return most === 0 || Object.values(value).some((inner) => isDeeper(inner, most - 1));
}

function typeOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}

function checkText(value, schema, path) {
  if (schema.pattern && !new RegExp(schema.pattern, "u").test(value)) throw new Wrong(path);
  if (value.length < (schema.minLength ?? 0) || value.length > (schema.maxLength ?? Infinity)) throw new Wrong(path);
  if (schema.format?.startsWith("date") && !isMoment(value)) throw new Wrong(path);
}

// JavaScript takes 30 February for 1 March; that no such day exists shows when it is written back.
function isMoment(value) {
  const moment = new Date(value);
  return !Number.isNaN(moment.getTime()) && moment.toISOString().startsWith(value.replace("Z", ""));
}

function checkNumber(value, schema, path) {
  const isWithin = value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity);
  if (!isWithin || value <= (schema.exclusiveMinimum ?? -Infinity)) throw new Wrong(path);
}

export function isId(value) {
  return typeof value === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(value);
}
