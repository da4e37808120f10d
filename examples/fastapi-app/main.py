"""A small stock list with FastAPI; the interactive documentation is at /docs."""

import logging

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

log = logging.getLogger("stock")
app = FastAPI(title="stock")


class Item(BaseModel):
    name: str = Field(min_length=1)
    quantity: int = Field(ge=0)


items: dict[str, Item] = {"apple": Item(name="apple", quantity=3)}


@app.get("/")
def index() -> dict[str, str]:
    return {"service": "stock", "documentation": "docs"}


@app.get("/items/{name}")
def read(name: str) -> Item:
    if name not in items:
        raise HTTPException(404, "no such item")
    return items[name]


@app.put("/items/{name}")
async def write(name: str, item: Item) -> Item:
    log.info("writing %s", name)
    items[name] = item
    return item
