// The news of this page's life, kept whichever view is open; and what the host remembers from before.

import { signal } from "@preact/signals";
import { getIfThere } from "./api";
import { NEWS_MAX, mergeNews } from "./core/news";
import type { Page, PublicEvent } from "./core/wire";
import { followChanges } from "./live";

export const news = signal<PublicEvent[]>([]);
export const newsProblem = signal("");

export function followNews(): void {
  followChanges((changes) => {
    if (changes.replaced) {
      news.value = changes.news.reverse();
      void askNews();
    } else if (changes.news.length > 0) news.value = mergeNews(news.value, changes.news);
  });
}

export async function askNews(): Promise<void> {
  try {
    const page = await getIfThere<Page<PublicEvent>>(`/v1/activity?limit=${NEWS_MAX}`);
    newsProblem.value = "";
    if (page !== undefined) news.value = mergeNews(page.items, news.value);
  } catch (error) {
    newsProblem.value = (error as Error).message;
  }
}
