// Client libraries of both languages, on one machine.
import { libraryCases } from "../egress/library-cases.ts";
import { place } from "./place.ts";

libraryCases(() => place, "127.0.0.0/8");
